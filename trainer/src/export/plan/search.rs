//! The least arena: decide for every two tensors which lies below, or that one is written over the other, and take
//! decisions back that leave no room.
//!
//! What was decided is a system of differences, kept closed under addition: `distance[i][j]` is the least that the start
//! of `j` lies above that of `i`. Point 0 is the bottom of the arena. This is the disjunctive graph of job-shop scheduling
//! (Carlier and Pinson 1989), with bytes in the place of time: what is decided by the bound alone is decided at once.

use super::relations::{Relation, Relations};

/// Far below every distance.
const NONE: i64 = i64::MIN / 4;

/// What is left to a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    /// Decisions that may have to be taken back.
    pub(super) decisions: usize,
    /// Distances that are looked at.
    pub(super) work: u64,
}

impl Budget {
    /// For one of the points' decisions, forced or not; false where nothing is left.
    fn spend(&mut self, points: usize) -> bool {
        self.work = self.work.saturating_sub((points * points) as u64);
        self.work > 0 && self.decisions > 0
    }
}

/// The best layout found.
pub(super) struct Found {
    /// Offset of every tensor.
    pub(super) offsets: Vec<usize>,
    /// Bytes of arena.
    pub(super) bytes: usize,
    /// Nothing less is possible.
    pub(super) optimal: bool,
}

/// One way for two points to lie: differences that must hold.
type Alternative = [Option<(usize, usize, i64)>; 2];

/// Finds the least layout, or the best until the budget was spent.
pub(super) fn least(relations: &Relations, budget: Budget) -> Found {
    let mut best = greedy(relations);
    let mut budget = budget;
    loop {
        let room = peak(relations, &best) as i64 - 1;
        let mut system = System::new(relations, room);
        let undecided: Vec<&Relation> = relations.pairs.iter().collect();
        match solve(relations, &mut system, &undecided, &mut budget) {
            Outcome::Layout(offsets) => best = offsets,
            outcome => {
                let optimal = matches!(outcome, Outcome::Impossible);
                return Found { bytes: peak(relations, &best), offsets: best, optimal };
            }
        }
    }
}

/// What is live during each layer, less what may share its place.
pub(super) fn least_bytes_of_layers(relations: &Relations) -> Vec<usize> {
    let system = System::new(relations, 1 << 40);
    (0..relations.live.len()).map(|layer| live_bytes(relations, &system, layer)).collect()
}

fn peak(relations: &Relations, offsets: &[usize]) -> usize {
    offsets.iter().zip(&relations.bytes).map(|(offset, bytes)| offset + bytes).max().unwrap_or(0)
}

/// Tensors in three orders, each at the lowest place where all that were placed before allow it: the best of the three.
fn greedy(relations: &Relations) -> Vec<usize> {
    let count = relations.bytes.len();
    let in_turn: Vec<usize> = (0..count).collect();
    let mut largest = in_turn.clone();
    largest.sort_by_key(|tensor| std::cmp::Reverse(relations.bytes[*tensor]));
    let mut longest = in_turn.clone();
    longest.sort_by_key(|tensor| {
        std::cmp::Reverse((relations.last_use[*tensor].saturating_sub(*tensor), relations.bytes[*tensor]))
    });
    let layouts = [in_turn, largest, longest].map(|order| lowest_places(relations, &order));
    layouts.into_iter().flatten().min_by_key(|offsets| peak(relations, offsets)).unwrap_or_else(|| in_a_row(relations))
}

/// `None` where a tensor that must lie in another's place finds it taken.
fn lowest_places(relations: &Relations, order: &[usize]) -> Option<Vec<usize>> {
    let mut offsets: Vec<Option<usize>> = vec![None; order.len()];
    for tensor in order {
        let met: Vec<(Relation, usize)> = relations
            .pairs
            .iter()
            .filter(|pair| pair.a == *tensor || pair.b == *tensor)
            .filter_map(|pair| Some((*pair, offsets[pair.a + pair.b - tensor]?)))
            .collect();
        // Farthest below the other, farthest above it that must be, or at its place.
        let mut places = vec![0];
        for (pair, other) in &met {
            let (below, above) =
                if pair.a == *tensor { (pair.a_below, pair.b_below) } else { (pair.b_below, pair.a_below) };
            places.extend(other.checked_sub(below));
            places.extend([*other, other + above]);
        }
        places.sort_unstable();
        let fits = |place: &usize| {
            met.iter().all(|(pair, other)| {
                let (a, b) = if pair.a == *tensor { (*place, *other) } else { (*other, *place) };
                let apart = a + pair.a_below <= b || b + pair.b_below <= a;
                pair.same && a == b || apart && !pair.only_same
            })
        };
        offsets[*tensor] = Some(places.into_iter().find(fits)?);
    }
    offsets.into_iter().collect()
}

/// Nothing shares a byte, but for what is stored into its state.
fn in_a_row(relations: &Relations) -> Vec<usize> {
    let mut end = 0;
    let mut offsets = Vec::new();
    for (tensor, bytes) in relations.bytes.iter().enumerate() {
        let state = relations.pairs.iter().find(|pair| pair.b == tensor && pair.only_same);
        offsets.push(state.map_or(end, |pair| offsets[pair.a]));
        end += if state.is_some() { 0 } else { *bytes };
    }
    offsets
}

enum Outcome {
    Layout(Vec<usize>),
    Impossible,
    BudgetSpent,
}

/// The differences that hold, closed under addition.
#[derive(Clone)]
struct System {
    points: usize,
    distance: Vec<i64>,
    room: i64,
}

impl System {
    /// Every tensor is above the bottom and ends within the room.
    fn new(relations: &Relations, room: i64) -> Self {
        let points = relations.bytes.len() + 1;
        let mut system = Self { points, distance: vec![NONE; points * points], room };
        for point in 0..points {
            system.distance[point * points + point] = 0;
        }
        for (tensor, bytes) in relations.bytes.iter().enumerate() {
            system.distance[tensor + 1] = 0;
            system.distance[(tensor + 1) * points] = *bytes as i64 - room;
        }
        // From one tensor to the next by way of the bottom.
        for from in 1..points {
            for to in 1..points {
                if from != to {
                    system.distance[from * points + to] = system.distance[from * points];
                }
            }
        }
        system
    }

    fn at(&self, from: usize, to: usize) -> i64 {
        self.distance[from * self.points + to]
    }

    /// False where a tensor does not fit the room by itself.
    fn is_consistent(&self) -> bool {
        (1..self.points).all(|point| self.at(0, point) + self.at(point, 0) <= 0)
    }

    /// True where `to` can lie `least` above `from`.
    fn allows(&self, (from, to, least): (usize, usize, i64)) -> bool {
        self.at(to, from) + least <= 0
    }

    fn holds(&self, (from, to, least): (usize, usize, i64)) -> bool {
        self.at(from, to) >= least
    }

    /// `to` lies at least `least` above `from`.
    fn add(&mut self, (from, to, least): (usize, usize, i64)) {
        if self.holds((from, to, least)) {
            return;
        }
        for i in 0..self.points {
            let lead = self.at(i, from) + least;
            if lead <= self.at(i, to) || self.at(i, from) <= NONE / 2 {
                continue;
            }
            for j in 0..self.points {
                let through = lead + self.at(to, j);
                let place = &mut self.distance[i * self.points + j];
                *place = (*place).max(through);
            }
        }
    }

    fn offsets(&self) -> Vec<usize> {
        (1..self.points).map(|point| self.at(0, point) as usize).collect()
    }
}

/// The ways that are left for two tensors.
fn alternatives<'a>(pair: &'a Relation, system: &'a System) -> impl Iterator<Item = Alternative> + use<'a> {
    let (a, b) = (pair.a + 1, pair.b + 1);
    let same: Alternative = [Some((a, b, 0)), Some((b, a, 0))];
    let below: Alternative = [Some((a, b, pair.a_below as i64)), None];
    let above: Alternative = [Some((b, a, pair.b_below as i64)), None];
    let ways = [(same, pair.same), (below, !pair.only_same), (above, !pair.only_same)];
    ways.into_iter()
        .filter(|(way, legal)| *legal && way.iter().flatten().all(|difference| system.allows(*difference)))
        .map(|(way, _)| way)
}

/// Takes every decision that is the only one left, then tries each way of the tightest pair.
fn solve(relations: &Relations, system: &mut System, undecided: &[&Relation], budget: &mut Budget) -> Outcome {
    if !system.is_consistent() {
        return Outcome::Impossible;
    }
    if !budget.spend(system.points) {
        return Outcome::BudgetSpent;
    }
    let undecided = match decide_what_is_forced(system, undecided.to_vec(), budget) {
        Ok(undecided) => undecided,
        Err(outcome) => return outcome,
    };
    if !every_layer_has_room(relations, system) {
        return Outcome::Impossible;
    }
    let freedom = |pair: &&Relation| {
        let slack = |way: Alternative| -> i64 {
            way.iter().flatten().map(|(from, to, least)| -(system.at(*to, *from) + least)).min().unwrap_or(0)
        };
        alternatives(pair, system).map(slack).sum::<i64>()
    };
    let Some(pair) = undecided.iter().copied().min_by_key(freedom) else {
        return Outcome::Layout(system.offsets());
    };
    let rest: Vec<&Relation> = undecided.iter().copied().filter(|other| !std::ptr::eq(*other, pair)).collect();
    let mut outcome = Outcome::Impossible;
    for way in alternatives(pair, system) {
        if !budget.spend(system.points) {
            return Outcome::BudgetSpent;
        }
        budget.decisions -= 1;
        let mut next = system.clone();
        way.into_iter().flatten().for_each(|difference| next.add(difference));
        match solve(relations, &mut next, &rest, budget) {
            Outcome::Impossible => {}
            Outcome::Layout(offsets) => return Outcome::Layout(offsets),
            Outcome::BudgetSpent => outcome = Outcome::BudgetSpent,
        }
    }
    outcome
}

/// Pairs with several ways left; why there are none where one has none, or the budget is spent.
fn decide_what_is_forced<'a>(
    system: &mut System,
    mut undecided: Vec<&'a Relation>,
    budget: &mut Budget,
) -> Result<Vec<&'a Relation>, Outcome> {
    loop {
        let before = undecided.len();
        let mut open = Vec::with_capacity(before);
        for pair in undecided {
            let mut ways = alternatives(pair, system);
            let (first, second) = (ways.next().ok_or(Outcome::Impossible)?, ways.next());
            drop(ways);
            let decided = second.is_none();
            if decided && !budget.spend(system.points) {
                return Err(Outcome::BudgetSpent);
            } else if decided {
                first.into_iter().flatten().for_each(|difference| system.add(difference));
            } else if !is_settled(pair, system) {
                open.push(pair);
            }
        }
        if open.len() == before {
            return Ok(open);
        }
        undecided = open;
    }
}

/// True where what was decided keeps two tensors apart already.
fn is_settled(pair: &Relation, system: &System) -> bool {
    let (a, b) = (pair.a + 1, pair.b + 1);
    !pair.only_same && (system.holds((a, b, pair.a_below as i64)) || system.holds((b, a, pair.b_below as i64)))
}

/// During each layer, what is live and cannot share fits between the lowest start and the highest end.
fn every_layer_has_room(relations: &Relations, system: &System) -> bool {
    relations.live.iter().enumerate().all(|(layer, live)| {
        let low = live.iter().map(|tensor| system.at(0, tensor + 1)).min().unwrap_or(0);
        let high = live.iter().map(|tensor| -system.at(tensor + 1, 0) + relations.bytes[*tensor] as i64).max();
        live_bytes(relations, system, layer) as i64 <= high.unwrap_or(system.room) - low
    })
}

/// Bytes of tensors that are live during a layer, less what may share its place.
fn live_bytes(relations: &Relations, system: &System, layer: usize) -> usize {
    let shared = |pair: &usize| {
        let pair = &relations.pairs[*pair];
        let way = |from: usize, to: usize, least: usize| system.allows((from + 1, to + 1, least as i64));
        let (a, b) = (relations.bytes[pair.a], relations.bytes[pair.b]);
        let same = pair.same && way(pair.a, pair.b, 0) && way(pair.b, pair.a, 0);
        let passed =
            if way(pair.b, pair.a, pair.b_below) { (a + b).saturating_sub(b.max(pair.b_below + a)) } else { 0 };
        (if same { a.min(b) } else { 0 }).max(passed)
    };
    let bytes: usize = relations.live[layer].iter().map(|tensor| relations.bytes[*tensor]).sum();
    bytes.saturating_sub(relations.within[layer].iter().map(shared).sum())
}
