//! Python's pickles, as far as dictionaries of lists, texts and NumPy arrays of bytes go. Nothing is ever executed.
//!
//! Source: Python's `Lib/pickletools.py`, which describes every opcode. Protocols 2 to 4, of which CIFAR is 2.

use std::path::{Path, PathBuf};

use super::DataError;

/// Most values inside one another. Those of an array in a dictionary are six; each is dropped by a call inside another.
const MAX_DEPTH: usize = 8;

/// Most bytes of a name, and most arguments of what is made of names.
const NAME_BYTES: usize = 100;
const NAME_ARGUMENTS: usize = 4;

/// A dictionary from a file.
#[derive(Debug)]
pub(super) struct Pickle {
    path: PathBuf,
    entries: Vec<(Value, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    None,
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A name such as `numpy.ndarray`.
    Global(String),
    /// What a call or a state makes: the global, its arguments, its state.
    Object(Box<[Value; 3]>),
}

impl Value {
    /// True where no more values than `depth` lie inside one another.
    fn is_within(&self, depth: usize) -> bool {
        let Some(rest) = depth.checked_sub(1) else { return false };
        match self {
            Self::List(values) => values.iter().all(|value| value.is_within(rest)),
            Self::Dict(entries) => entries.iter().all(|(key, value)| key.is_within(rest) && value.is_within(rest)),
            Self::Object(parts) => parts.iter().all(|part| part.is_within(rest)),
            Self::None | Self::Int(_) | Self::Bytes(_) | Self::Global(_) => true,
        }
    }

    /// True of a name or a number.
    fn is_name(&self) -> bool {
        match self {
            Self::None | Self::Int(_) => true,
            Self::Bytes(bytes) => bytes.len() <= NAME_BYTES,
            Self::Global(name) => name.len() <= NAME_BYTES,
            Self::List(_) | Self::Dict(_) | Self::Object(_) => false,
        }
    }

    /// True of what is made of a few names, such as a type of elements.
    fn is_made_of_names(&self) -> bool {
        let Self::Object(parts) = self else { return false };
        let [callable, Self::List(arguments), Self::None] = &**parts else { return false };
        callable.is_name() && arguments.len() <= NAME_ARGUMENTS && arguments.iter().all(Self::is_name)
    }
}

impl Pickle {
    fn refuse(&self, what: impl Into<String>) -> DataError {
        DataError::contents(&self.path, what)
    }

    fn get(&self, key: &str) -> Result<&Value, DataError> {
        let found = self.entries.iter().find(|(name, _)| *name == Value::Bytes(key.into()));
        found.map(|(_, value)| value).ok_or_else(|| self.refuse(format!("the dictionary has no key {key}")))
    }

    /// A list of numbers from 0 to 255.
    pub(super) fn bytes_of_list(&self, key: &str) -> Result<Vec<u8>, DataError> {
        let byte = |value: &Value| match value {
            Value::Int(number) => u8::try_from(*number).ok(),
            _ => None,
        };
        match self.get(key)? {
            Value::List(values) => values.iter().map(byte).collect::<Option<_>>(),
            _ => None,
        }
        .ok_or_else(|| self.refuse(format!("{key} is not a list of numbers from 0 to 255")))
    }

    /// A list of texts.
    pub(super) fn texts_of_list(&self, key: &str) -> Result<Vec<String>, DataError> {
        let text = |value: &Value| match value {
            Value::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        };
        match self.get(key)? {
            Value::List(values) => values.iter().map(text).collect::<Option<_>>(),
            _ => None,
        }
        .ok_or_else(|| self.refuse(format!("{key} is not a list of texts")))
    }

    /// The elements of a NumPy array of unsigned bytes in C's order.
    pub(super) fn array(&self, key: &str) -> Result<&[u8], DataError> {
        let refusal = || self.refuse(format!("{key} is not a NumPy array of unsigned bytes in C's order"));
        let Value::Object(array) = self.get(key)? else { return Err(refusal()) };
        // The state of an array: version, shape, type, whether in Fortran's order, elements.
        let [Value::Global(maker), _, Value::List(state)] = &**array else { return Err(refusal()) };
        let [_, _, Value::Object(kind), fortran, Value::Bytes(elements)] = &state[..] else { return Err(refusal()) };
        let [Value::Global(dtype), Value::List(words), _] = &**kind else { return Err(refusal()) };
        let unsigned = words.first() == Some(&Value::Bytes(b"u1".into()));
        let right = maker.ends_with("._reconstruct") && dtype == "numpy.dtype" && unsigned && *fortran == Value::Int(0);
        if right { Ok(elements) } else { Err(refusal()) }
    }
}

/// Reads a file that holds a dictionary.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Pickle, DataError> {
    let mut machine = Machine { rest: bytes, stack: Vec::new(), marks: Vec::new(), memo: Vec::new() };
    let value = machine.run().ok_or_else(|| {
        let (len, rest) = (bytes.len(), machine.rest.len());
        let expected = "a pickled dictionary of lists, texts and NumPy arrays, as in CIFAR's Python version";
        DataError::contents(path, format!("damaged, or not {expected}: reading ended at byte {} of {len}", len - rest))
    })?;
    match value {
        Value::Dict(entries) => Ok(Pickle { path: path.into(), entries }),
        _ => Err(DataError::contents(path, "the pickle is not a dictionary")),
    }
}

/// What `pickle.Unpickler` is, without calls: they only leave their arguments.
struct Machine<'a> {
    rest: &'a [u8],
    stack: Vec<Value>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: Vec<(u32, Value)>,
}

impl Machine<'_> {
    fn run(&mut self) -> Option<Value> {
        loop {
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Option<()> {
        match opcode {
            // PROTO, FRAME.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Int(1)),
            0x89 => self.push(Value::Int(0)),
            b'K' => self.number(1)?,
            b'M' => self.number(2)?,
            b'J' => self.number(4)?,
            b'I' | b'L' => self.decimal()?,
            // BINSTRING, SHORT_BINSTRING, BINUNICODE, SHORT_BINUNICODE, BINBYTES, SHORT_BINBYTES, BINUNICODE8, BINBYTES8.
            b'T' | b'X' | b'B' => self.bytes(4)?,
            b'U' | 0x8c | b'C' => self.bytes(1)?,
            0x8d | 0x8e => self.bytes(8)?,
            b'S' | b'V' => self.quoted()?,
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            // LIST, TUPLE, TUPLE1, TUPLE2, TUPLE3; a tuple is a list here.
            b'l' | b't' => {
                let values = self.pop_mark()?;
                self.push(Value::List(values));
            }
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(opcode) - 0x84)?;
                let values = self.pop_from(start)?;
                self.push(Value::List(values));
            }
            b'a' => {
                let value = self.pop()?;
                self.list()?.push(value);
            }
            b'e' => {
                let values = self.pop_mark()?;
                self.list()?.extend(values);
            }
            b'd' => {
                let values = self.pop_mark()?;
                self.push(Value::Dict(pairs(values)));
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.dict()?.push((key, value));
            }
            b'u' => {
                let values = self.pop_mark()?;
                self.dict()?.extend(pairs(values));
            }
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Value::Global(name));
            }
            // STACK_GLOBAL.
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Bytes(module), Value::Bytes(name)) = (module, name) else {
                    return None;
                };
                let name = [&module[..], &name].join(&b'.');
                self.push(Value::Global(String::from_utf8_lossy(&name).into_owned()));
            }
            // REDUCE, NEWOBJ.
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.push(called(callable, arguments));
            }
            b'b' => {
                let state = self.pop()?;
                match self.stack.last_mut() {
                    Some(Value::Object(object)) => object[2] = state,
                    _ => return None,
                }
            }
            b'p' => {
                let key = self.line()?.parse().ok()?;
                self.remember(key)?;
            }
            b'q' => {
                let key = self.byte()?.into();
                self.remember(key)?;
            }
            b'r' => {
                let key = self.little_endian(4)? as u32;
                self.remember(key)?;
            }
            0x94 => {
                let key = self.memo.len() as u32;
                self.remember(key)?;
            }
            b'g' => {
                let key = self.line()?.parse().ok()?;
                self.recall(key)?;
            }
            b'h' => {
                let key = self.byte()?.into();
                self.recall(key)?;
            }
            b'j' => {
                let key = self.little_endian(4)? as u32;
                self.recall(key)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Option<Value> {
        self.stack.pop().filter(|value| value.is_within(MAX_DEPTH))
    }

    fn pop_from(&mut self, start: usize) -> Option<Vec<Value>> {
        let values = self.stack.split_off(start);
        values.iter().all(|value| value.is_within(MAX_DEPTH)).then_some(values)
    }

    fn pop_mark(&mut self) -> Option<Vec<Value>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len())?;
        self.pop_from(mark)
    }

    fn list(&mut self) -> Option<&mut Vec<Value>> {
        match self.stack.last_mut() {
            Some(Value::List(values)) => Some(values),
            _ => None,
        }
    }

    fn dict(&mut self) -> Option<&mut Vec<(Value, Value)>> {
        match self.stack.last_mut() {
            Some(Value::Dict(entries)) => Some(entries),
            _ => None,
        }
    }

    /// Other values are never asked for again: the memo keeps names alone, so that no small file asks for large values many times.
    fn remember(&mut self, key: u32) -> Option<()> {
        let value = self.stack.last()?;
        let kept = if value.is_name() || value.is_made_of_names() { value.clone() } else { Value::None };
        self.memo.push((key, kept));
        Some(())
    }

    fn recall(&mut self, key: u32) -> Option<()> {
        let found = self.memo.iter().rev().find(|(known, _)| *known == key);
        let value = found?.1.clone();
        self.push(value);
        Some(())
    }

    fn take(&mut self, len: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn little_endian(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn number(&mut self, bytes: usize) -> Option<()> {
        let number = self.little_endian(bytes)? as i64;
        // Only the number of four bytes has a sign.
        self.push(Value::Int(if bytes == 4 { i64::from(number as i32) } else { number }));
        Some(())
    }

    fn bytes(&mut self, length_bytes: usize) -> Option<()> {
        let len = usize::try_from(self.little_endian(length_bytes)?).ok()?;
        let bytes = self.take(len)?.to_vec();
        self.push(Value::Bytes(bytes));
        Some(())
    }

    fn line(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(self.take(end)?).into_owned();
        self.take(1)?;
        Some(line)
    }

    fn decimal(&mut self) -> Option<()> {
        let line = self.line()?;
        let number = line.trim_end_matches('L').parse().ok()?;
        self.push(Value::Int(number));
        Some(())
    }

    fn quoted(&mut self) -> Option<()> {
        let line = self.line()?;
        self.push(Value::Bytes(line.trim_matches(['\'', '"']).into()));
        Some(())
    }
}

fn called(callable: Value, arguments: Value) -> Value {
    match (&callable, &arguments) {
        // Bytes of protocol 2, written by Python 3: a text in Latin-1.
        (Value::Global(name), Value::List(words)) if name == "_codecs.encode" => match words.first() {
            Some(Value::Bytes(text)) => {
                Value::Bytes(String::from_utf8_lossy(text).chars().map(|c| u32::from(c) as u8).collect())
            }
            _ => Value::None,
        },
        _ => Value::Object(Box::new([callable, arguments, Value::None])),
    }
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    std::iter::from_fn(|| Some((values.next()?, values.next()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"data": numpy.array([[0, 50, 100], [150, 200, 250]], numpy.uint8), "labels": [3, 200], "names": ["cat", "dög"]}`
    /// by Python 3.11, NumPy 2.4, `pickle.dumps(.., protocol=2)`.
    const PROTOCOL_2: &[u8] = b"\x80\x02}q\x00(X\x04\x00\x00\x00dataq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04c_codecs\nencode\nq\x05X\x01\x00\x00\x00bq\x06X\x06\x00\x00\x00latin1q\x07\x86q\x08Rq\t\x87q\nRq\x0b(K\x01K\x02K\x03\x86q\x0ccnumpy\ndtype\nq\rX\x02\x00\x00\x00u1q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00|q\x11NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x12b\x89h\x05X\t\x00\x00\x00\x002d\xc2\x96\xc3\x88\xc3\xbaq\x13h\x07\x86q\x14Rq\x15tq\x16bX\x06\x00\x00\x00labelsq\x17]q\x18(K\x03K\xc8eX\x05\x00\x00\x00namesq\x19]q\x1a(X\x03\x00\x00\x00catq\x1bX\x04\x00\x00\x00d\xc3\xb6gq\x1ceu.";

    /// The same with `protocol=4`.
    const PROTOCOL_4: &[u8] = b"\x80\x04\x95\xc6\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x06\x002d\x96\xc8\xfa\x94t\x94b\x8c\x06labels\x94]\x94(K\x03K\xc8e\x8c\x05names\x94]\x94(\x8c\x03cat\x94\x8c\x04d\xc3\xb6g\x94eu.";

    /// As Python 2 wrote CIFAR: texts are bytes, numbers of a list one by one.
    const PYTHON_2: &[u8] = b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02K\x03\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06\x002d\x96\xc8\xfatbU\x06labelsq\x08]q\t(K\x03M\xc8\x00eU\x05namesq\n]q\x0b(U\x03catU\x04d\xc3\xb6geu.";

    #[test]
    fn pickles_of_python_2_and_3_are_read() {
        for bytes in [PROTOCOL_2, PROTOCOL_4, PYTHON_2] {
            let pickle = parse(Path::new("p"), bytes).unwrap();
            assert_eq!(pickle.array("data").unwrap(), [0, 50, 100, 150, 200, 250]);
            assert_eq!(pickle.bytes_of_list("labels").unwrap(), [3, 200]);
            assert_eq!(pickle.texts_of_list("names").unwrap(), ["cat", "dög"]);
        }
    }

    #[test]
    fn foreign_and_cut_pickles_are_refused_without_a_panic() {
        let error = |bytes: &[u8]| parse(Path::new("p"), bytes).unwrap_err().to_string();
        assert_eq!(error(b"\x80\x02N."), "p: the pickle is not a dictionary");
        let expected = "p: damaged, or not a pickled dictionary of lists, texts and NumPy arrays, as in CIFAR's Python version: \
                        reading ended at byte ";
        assert_eq!(error(b"\x80\x02\x97."), format!("{expected}3 of 4"));
        assert_eq!(error(b"<html>"), format!("{expected}1 of 6"));
        assert_eq!(error(&PROTOCOL_2[..100]), format!("{expected}97 of 100"));
        for len in 0..PROTOCOL_2.len() {
            error(&PROTOCOL_2[..len]);
        }
        for bytes in [PROTOCOL_2, PROTOCOL_4, PYTHON_2] {
            for index in 0..bytes.len() {
                for value in [0, b'.', b'R', b'b', b't', 0x87, 0xff] {
                    let mut damaged = bytes.to_vec();
                    damaged[index] = value;
                    let Ok(pickle) = parse(Path::new("p"), &damaged) else { continue };
                    let _ = (pickle.array("data"), pickle.bytes_of_list("labels"), pickle.texts_of_list("names"));
                }
            }
        }
        // A list in a list and so on; an object made of itself twice, again and again.
        let nested = [&b"\x80\x02N"[..], &[0x85; 200_000], b"."].concat();
        assert_eq!(error(&nested), format!("{expected}12 of 200004"));
        let doubled = [&b"\x80\x02cm\nn\n)Rq\x00"[..], &b"h\x00h\x00\x85Rq\x00".repeat(40), b"."].concat();
        assert_eq!(error(&doubled), "p: the pickle is not a dictionary");
        let pickle = parse(Path::new("p"), PROTOCOL_2).unwrap();
        assert_eq!(pickle.array("more").unwrap_err().to_string(), "p: the dictionary has no key more");
        assert_eq!(
            pickle.array("labels").unwrap_err().to_string(),
            "p: labels is not a NumPy array of unsigned bytes in C's order"
        );
        assert_eq!(
            pickle.bytes_of_list("names").unwrap_err().to_string(),
            "p: names is not a list of numbers from 0 to 255"
        );
    }
}
