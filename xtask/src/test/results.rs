//! What every board showed in a run of the tests: one table.

use crate::boards::Board;
use crate::table;

/// What a step finds out about a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// Deepest stack of firmware that links every operator, in bytes.
    Stack,
    /// Tensors that `verify` compared.
    Verified,
    /// Random networks whose every code equals the reference's.
    Networks,
    /// Layers of the kernels' suite whose every code equals the reference's.
    Kernels,
    /// Rows of features of sound that equal the host's.
    Sound,
    /// Bytes of code and constants around Fashion-MNIST's model.
    Code,
    /// Tensors of Fashion-MNIST that equal the trainer's.
    Tensors,
    /// Instructions of one inference of Fashion-MNIST.
    Instructions,
}

/// In the order of [`Column`].
const HEADER: [&str; 8] =
    ["stack", "verified", "networks", "kernels", "rows of sound", "code", "tensors", "instructions"];

/// A row a board, a column a finding; what was not looked at is left open.
#[derive(Debug, Default)]
pub(super) struct Results {
    rows: Vec<(&'static Board, [Option<String>; HEADER.len()])>,
}

impl Results {
    pub(super) fn put(&mut self, board: &'static Board, column: Column, text: impl Into<String>) {
        let row = match self.rows.iter().position(|(known, _)| known.name == board.name) {
            Some(row) => row,
            None => {
                self.rows.push((board, Default::default()));
                self.rows.len() - 1
            }
        };
        self.rows[row].1[column as usize] = Some(text.into());
    }

    /// Prints the columns that some board has.
    pub(super) fn print(&self) {
        let rows = self.table();
        if rows.len() > 1 {
            println!("\nbit-exact on every board:");
            table::print(&rows);
        }
    }

    fn table(&self) -> Vec<Vec<String>> {
        let used: Vec<usize> =
            (0..HEADER.len()).filter(|column| self.rows.iter().any(|(_, row)| row[*column].is_some())).collect();
        let header = ["board", "core", "kernels of"].into_iter().chain(used.iter().map(|column| HEADER[*column]));
        let mut table = vec![header.map(str::to_owned).collect::<Vec<_>>()];
        for (board, row) in &self.rows {
            let names = [board.name, board.core, board.backend.name()].map(str::to_owned);
            let found = used.iter().map(|column| row[*column].clone().unwrap_or_else(|| "-".into()));
            table.push(names.into_iter().chain(found).collect());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Results};
    use crate::boards;

    #[test]
    fn a_board_has_one_row_and_open_columns_are_left_out() {
        let [m0, m4] = ["qemu-m0", "qemu-m4"].map(|name| boards::find(name).unwrap());
        let mut results = Results::default();
        results.put(m0, Column::Networks, "286");
        results.put(m4, Column::Networks, "300");
        results.put(m4, Column::Tensors, "1,300");
        let table = results.table();
        assert_eq!(table[0], ["board", "core", "kernels of", "networks", "tensors"]);
        assert_eq!(table[1], ["qemu-m0", "Cortex-M0", "v6m", "286", "-"]);
        assert_eq!(table[2], ["qemu-m4", "Cortex-M4", "dsp", "300", "1,300"]);
    }
}
