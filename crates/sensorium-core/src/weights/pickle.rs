//! A machine that reads Python pickles and runs nothing.
//!
//! A pickle is a program for a stack machine that builds objects (CPython's `pickletools` describes each instruction).
//! Here a class is only its name and a call only a record of its arguments, so no pickle can do more than describe
//! data. Objects live in one flat [`Graph`] and refer to each other by number: a structure that contains itself,
//! shares a part a million times over, or nests a million deep costs no more than its instructions.

use std::collections::HashMap;

/// A program may have this many instructions. Each adds at most one small object, so this bounds memory, too (by about
/// 300 MB); the checkpoint of a ResNet-101 with its optimiser takes some 300,000.
const MAX_INSTRUCTIONS: usize = 4_000_000;

/// The number of an object in a [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(u32);

/// What a pickle described.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: little-endian two's complement.
    Long(Box<[u8]>),
    Float(f64),
    Text(Box<str>),
    Bytes(Box<[u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Set(Vec<Id>),
    /// Keys and values in order; where a key stands twice, the later one counts.
    Dict(Vec<(Id, Id)>),
    /// A class or function: `module.name`.
    Global(Box<str>),
    /// An object outside the pickle, by the name that its writer gave it.
    Persistent(Id),
    /// What an unknown call returned, with all that was done to it.
    Instance(Box<Instance>),
}

/// An object of a class that the machine does not know: what made it and what was put into it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instance {
    /// The class or function that was called.
    pub(super) class: Id,
    /// What it was called with, mostly a tuple.
    pub(super) arguments: Id,
    /// What its `__setstate__` was to get: its attributes, mostly.
    pub(super) state: Option<Id>,
    /// Keys and values set in it, if it acts as a dict.
    pub(super) items: Vec<(Id, Id)>,
    /// Values appended to it, if it acts as a list.
    pub(super) elements: Vec<Id>,
}

/// All objects of a pickle.
#[derive(Debug)]
pub(super) struct Graph {
    objects: Vec<Object>,
    /// The object that the program ended with.
    pub(super) root: Id,
}

impl Graph {
    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id.0 as usize]
    }

    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }
}

/// Runs the pickle that begins at `start`. Gives its objects and where it ended.
pub(super) fn run(bytes: &[u8], start: usize) -> Result<(Graph, usize), String> {
    let mut machine = Machine::new(bytes, start);
    for _ in 0..MAX_INSTRUCTIONS {
        let at = machine.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok((Graph { objects: machine.objects, root }, machine.at)),
            Err(reason) => return Err(format!("its pickle is broken at byte {at}: {reason}")),
        }
    }
    Err(format!("its pickle has more than {MAX_INSTRUCTIONS} instructions"))
}

type Step<T = ()> = Result<T, String>;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack at which open groups begin.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

/// Objects of which one copy is enough.
const NONE: Id = Id(0);
const FALSE: Id = Id(1);
const TRUE: Id = Id(2);

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8], at: usize) -> Self {
        let objects = vec![Object::None, Object::Bool(false), Object::Bool(true)];
        Self { bytes, at, objects, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() }
    }

    /// One instruction; the program's result if it was the last.
    fn step(&mut self) -> Step<Option<Id>> {
        let [code] = self.array()?;
        match code {
            // Frame of the program.
            0x80 => self.protocol()?,
            0x95 => self.skip(8)?,
            b'.' => return self.pop().map(Some),

            // Plain values.
            b'N' => self.stack.push(NONE),
            0x88 => self.stack.push(TRUE),
            0x89 => self.stack.push(FALSE),
            b'K' => self.fixed_int(|[b]: [u8; 1]| i64::from(b))?,
            b'M' => self.fixed_int(|b| i64::from(u16::from_le_bytes(b)))?,
            b'J' => self.fixed_int(|b| i64::from(i32::from_le_bytes(b)))?,
            b'I' => self.int_line()?,
            b'L' => self.long_line()?,
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => {
                let float = f64::from_be_bytes(self.array()?);
                self.push(Object::Float(float));
            }
            b'F' => self.float_line()?,
            b'T' => self.old_string(4)?,
            b'U' => self.old_string(1)?,
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'C' => self.byte_string(1)?,
            b'B' => self.byte_string(4)?,
            0x8e | 0x96 => self.byte_string(8)?,

            // Containers.
            b'(' => self.marks.push(self.stack.len()),
            b']' => self.push(Object::List(Vec::new())),
            b')' => self.push(Object::Tuple(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            0x8f => self.push(Object::Set(Vec::new())),
            b'l' => self.group(Object::List)?,
            b't' => self.group(Object::Tuple)?,
            0x91 => self.group(Object::Set)?,
            b'd' => {
                let items = pairs(self.pop_group()?)?;
                self.push(Object::Dict(items));
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'a' => {
                let value = self.pop()?;
                self.extend(vec![value])?;
            }
            b'e' | 0x90 => {
                let values = self.pop_group()?;
                self.extend(values)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(vec![(key, value)])?;
            }
            b'u' => {
                let items = pairs(self.pop_group()?)?;
                self.set_items(items)?;
            }

            // Stack and memo.
            b'0' => self.pop_or_close()?,
            b'1' => drop(self.pop_group()?),
            b'2' => self.stack.push(self.top()?),
            b'q' => self.memoise(1)?,
            b'r' => self.memoise(4)?,
            b'p' => {
                let key = self.number_line()?;
                self.put(key)?;
            }
            0x94 => self.put(self.memo.len() as u32)?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'g' => {
                let key = self.number_line()?;
                self.get(key)?;
            }

            // Classes, calls and state.
            b'c' => {
                let global = self.global_lines()?;
                self.push(global);
            }
            0x93 => self.stack_global()?,
            0x82 => self.extension(1)?,
            0x83 => self.extension(2)?,
            0x84 => self.extension(4)?,
            b'R' | 0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                self.call(class, arguments);
            }
            0x92 => {
                let (_keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(class, arguments);
            }
            b'o' => self.call_group()?,
            b'i' => {
                let class = self.global_lines()?;
                let arguments = self.pop_group()?;
                let (class, arguments) = (self.add(class), self.add(Object::Tuple(arguments)));
                self.call(class, arguments);
            }
            b'b' => self.set_state()?,
            b'Q' => {
                let name = self.pop()?;
                self.push(Object::Persistent(name));
            }

            b'S' | b'V' | b'P' => {
                return Err(format!(
                    "instruction '{}' of protocol 0; torch.save writes protocol 2 or later",
                    code as char
                ));
            }
            0x97 | 0x98 => return Err("its buffers are in another file, which pickle cannot read back".to_string()),
            _ => return Err(format!("0x{code:02x} is no instruction")),
        }
        Ok(None)
    }

    fn protocol(&mut self) -> Step {
        match self.array()? {
            [0..=5] => Ok(()),
            [later] => Err(format!("protocol {later} is not known, 5 is the latest")),
        }
    }

    // Bytes of the program.

    fn skip(&mut self, length: usize) -> Step {
        self.take(length).map(|_| ())
    }

    fn take(&mut self, length: usize) -> Step<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end =
            end.ok_or_else(|| format!("{length} bytes are announced, {} are left", self.bytes.len() - self.at))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or_else(|| "it is cut short".to_string())
    }

    /// A little-endian number of `width` bytes, at most 8.
    fn number(&mut self, width: usize) -> Step<u64> {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(wide))
    }

    /// Bytes behind their length, which takes `width` bytes.
    fn counted(&mut self, width: usize) -> Step<&'a [u8]> {
        let length = self.number(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or("a line has no end")?;
        let line = self.take(length)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| "a line is not UTF-8".to_string())
    }

    fn number_line(&mut self) -> Step<u32> {
        let line = self.line()?;
        line.parse().map_err(|_| "a memo key is not a number".to_string())
    }

    fn global_lines(&mut self) -> Step<Object> {
        let (module, name) = (self.line()?, self.line()?);
        Ok(global(module, name))
    }

    // Plain values.

    fn fixed_int<const N: usize>(&mut self, decode: impl Fn([u8; N]) -> i64) -> Step {
        let int = decode(self.array()?);
        self.push(Object::Int(int));
        Ok(())
    }

    /// Also how Python 2 wrote booleans, as `00` and `01`, and integers of more than 32 bits.
    fn int_line(&mut self) -> Step {
        match self.line()? {
            "00" => self.stack.push(FALSE),
            "01" => self.stack.push(TRUE),
            line => {
                let int = line.parse().map_err(|_| "an integer has something else than digits, or too many")?;
                self.push(Object::Int(int));
            }
        }
        Ok(())
    }

    fn long_line(&mut self) -> Step {
        let line = self.line()?;
        let digits = line.strip_suffix('L').unwrap_or(line);
        let int = digits.parse().map_err(|_| "an integer has something else than digits, or too many")?;
        self.push(Object::Int(int));
        Ok(())
    }

    fn long(&mut self, width: usize) -> Step {
        let bytes = self.counted(width)?;
        let object = if bytes.len() <= 8 {
            let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
            let mut wide = [fill; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Object::Int(i64::from_le_bytes(wide))
        } else {
            Object::Long(bytes.into())
        };
        self.push(object);
        Ok(())
    }

    fn float_line(&mut self) -> Step {
        let float = self.line()?.parse().map_err(|_| "a float is not a number")?;
        self.push(Object::Float(float));
        Ok(())
    }

    /// A string of Python 2, which had one kind for text and bytes.
    fn old_string(&mut self, width: usize) -> Step {
        let bytes = self.counted(width)?;
        let object = match std::str::from_utf8(bytes) {
            Ok(text) => Object::Text(text.into()),
            Err(_) => Object::Bytes(bytes.into()),
        };
        self.push(object);
        Ok(())
    }

    /// What is not UTF-8 becomes the replacement character.
    fn text(&mut self, width: usize) -> Step {
        let text = String::from_utf8_lossy(self.counted(width)?);
        self.push(Object::Text(text.into()));
        Ok(())
    }

    fn byte_string(&mut self, width: usize) -> Step {
        let bytes = self.counted(width)?.into();
        self.push(Object::Bytes(bytes));
        Ok(())
    }

    // The stack.

    fn add(&mut self, object: Object) -> Id {
        self.objects.push(object);
        Id(self.objects.len() as u32 - 1)
    }

    fn push(&mut self, object: Object) {
        let id = self.add(object);
        self.stack.push(id);
    }

    /// The lowest height that the open group allows.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Step<Id> {
        self.stack[self.floor()..].last().copied().ok_or_else(|| "the stack is empty".to_string())
    }

    fn pop(&mut self) -> Step<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_group(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("a group ends that never began")?;
        Ok(self.stack.split_off(mark))
    }

    /// Drops the top of the stack, which may be the beginning of a group.
    fn pop_or_close(&mut self) -> Step {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(|_| ())
    }

    fn group(&mut self, make: impl Fn(Vec<Id>) -> Object) -> Step {
        let values = self.pop_group()?;
        self.push(make(values));
        Ok(())
    }

    fn tuple(&mut self, length: usize) -> Step {
        let start = self.stack.len().checked_sub(length).filter(|start| *start >= self.floor());
        let values = self.stack.split_off(start.ok_or("the stack is empty")?);
        self.push(Object::Tuple(values));
        Ok(())
    }

    // The memo.

    fn memoise(&mut self, width: usize) -> Step {
        let key = self.number(width)? as u32;
        self.put(key)
    }

    fn put(&mut self, key: u32) -> Step {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Step {
        let key = self.number(width)? as u32;
        self.get(key)
    }

    fn get(&mut self, key: u32) -> Step {
        let id = *self.memo.get(&key).ok_or_else(|| format!("nothing was kept as number {key}"))?;
        self.stack.push(id);
        Ok(())
    }

    // Objects.

    fn top_object(&mut self) -> Step<&mut Object> {
        let top = self.top()?;
        Ok(&mut self.objects[top.0 as usize])
    }

    fn extend(&mut self, values: Vec<Id>) -> Step {
        match self.top_object()? {
            Object::List(elements) | Object::Set(elements) => elements.extend(values),
            Object::Instance(instance) => instance.elements.extend(values),
            _ => return Err("values are appended to what is not a list".to_string()),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<(Id, Id)>) -> Step {
        match self.top_object()? {
            Object::Dict(entries) => entries.extend(items),
            Object::Instance(instance) => instance.items.extend(items),
            _ => return Err("keys are set in what is not a dict".to_string()),
        }
        Ok(())
    }

    /// A dict's own attributes (torch keeps version numbers there) are dropped.
    fn set_state(&mut self) -> Step {
        let state = self.pop()?;
        if let Object::Instance(instance) = self.top_object()? {
            instance.state = Some(state);
        }
        Ok(())
    }

    fn stack_global(&mut self) -> Step {
        let (name, module) = (self.pop()?, self.pop()?);
        let (Object::Text(name), Object::Text(module)) =
            (&self.objects[name.0 as usize], &self.objects[module.0 as usize])
        else {
            return Err("a class is not named by two texts".to_string());
        };
        let global = global(module, name);
        self.push(global);
        Ok(())
    }

    /// Classes may be named by a number in a registry that is Python's own: unknown, but a class.
    fn extension(&mut self, width: usize) -> Step {
        let code = self.number(width)?;
        self.push(Object::Global(format!("copyreg.extension.{code}").into()));
        Ok(())
    }

    fn call_group(&mut self) -> Step {
        let mut group = self.pop_group()?.into_iter();
        let class = group.next().ok_or("a call names no class")?;
        let arguments = self.add(Object::Tuple(group.collect()));
        self.call(class, arguments);
        Ok(())
    }

    fn call(&mut self, class: Id, arguments: Id) {
        let instance = Instance { class, arguments, state: None, items: Vec::new(), elements: Vec::new() };
        let object = self.known_call(class, arguments).unwrap_or_else(|| Object::Instance(Box::new(instance)));
        self.push(object);
    }

    /// The containers that Python builds by a call. Their content is copied, so each call must stand for as many
    /// instructions as it copies elements: only a list that was written out for this call qualifies.
    fn known_call(&mut self, class: Id, arguments: Id) -> Option<Object> {
        let (Object::Global(class), Object::Tuple(arguments)) =
            (&self.objects[class.0 as usize], &self.objects[arguments.0 as usize])
        else {
            return None;
        };
        let first = arguments.first().copied();
        match &**class {
            "collections.OrderedDict" | "builtins.dict" | "__builtin__.dict" if first.is_none() => {
                Some(Object::Dict(Vec::new()))
            }
            "collections.defaultdict" if arguments.len() <= 1 => Some(Object::Dict(Vec::new())),
            "collections.OrderedDict" => {
                let pairs = self.take_list(first?)?;
                let entries = pairs.iter().filter_map(|pair| match &self.objects[pair.0 as usize] {
                    Object::List(pair) | Object::Tuple(pair) => pair.first_chunk().map(|[key, value]| (*key, *value)),
                    _ => None,
                });
                Some(Object::Dict(entries.collect()))
            }
            "builtins.set" | "__builtin__.set" | "builtins.frozenset" | "__builtin__.frozenset" => match first {
                None => Some(Object::Set(Vec::new())),
                Some(list) => self.take_list(list).map(Object::Set),
            },
            _ => None,
        }
    }

    /// Moves the elements out of a list.
    fn take_list(&mut self, list: Id) -> Option<Vec<Id>> {
        match &mut self.objects[list.0 as usize] {
            Object::List(elements) => Some(std::mem::take(elements)),
            _ => None,
        }
    }
}

fn global(module: &str, name: &str) -> Object {
    Object::Global(format!("{module}.{name}").into())
}

fn pairs(group: Vec<Id>) -> Step<Vec<(Id, Id)>> {
    let (pairs, rest) = group.as_chunks();
    match rest {
        [] => Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect()),
        _ => Err("a key has no value".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an object holds, written out.
    fn show(graph: &Graph, id: Id) -> String {
        let all = |ids: &[Id]| ids.iter().map(|id| show(graph, *id)).collect::<Vec<_>>().join(",");
        let dict = |items: &[(Id, Id)]| {
            let items: Vec<_> = items.iter().map(|(k, v)| format!("{}:{}", show(graph, *k), show(graph, *v))).collect();
            items.join(",")
        };
        match graph.get(id) {
            Object::None => "None".to_string(),
            Object::Bool(value) => value.to_string(),
            Object::Int(value) => value.to_string(),
            Object::Long(bytes) => format!("long{bytes:?}"),
            Object::Float(value) => format!("{value:?}"),
            Object::Text(text) => format!("'{text}'"),
            Object::Bytes(bytes) => format!("b{bytes:?}"),
            Object::List(ids) => format!("[{}]", all(ids)),
            Object::Tuple(ids) => format!("({})", all(ids)),
            Object::Set(ids) => format!("set[{}]", all(ids)),
            Object::Dict(items) => format!("{{{}}}", dict(items)),
            Object::Global(name) => name.to_string(),
            Object::Persistent(name) => format!("<{}>", show(graph, *name)),
            Object::Instance(instance) => {
                let state = instance.state.map_or(String::new(), |state| show(graph, state));
                let (class, arguments) = (show(graph, instance.class), show(graph, instance.arguments));
                let (items, elements) = (dict(&instance.items), all(&instance.elements));
                format!("{class}{arguments}|{state}|{items}|{elements}")
            }
        }
    }

    fn check(program: &[u8], expect: &str) {
        let (graph, end) = run(program, 0).unwrap();
        assert_eq!(show(&graph, graph.root), expect);
        assert_eq!(end, program.len());
    }

    fn check_error(program: &[u8], part: &str) {
        let error = run(program, 0).unwrap_err();
        assert!(error.starts_with("its pickle is broken at byte ") && error.contains(part), "{error}");
    }

    /// One object as CPython 3.11 writes it in every protocol that torch can be told to use.
    #[test]
    fn every_protocol_gives_the_same_object() {
        let two_and_three = |protocol: &[u8], module: &[u8]| {
            [
                b"\x80".as_slice(),
                protocol,
                b"}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88\x89X\x02\x00\x00\x00\xc3\xa9q\x03\
                M,\x01J\x90\xee\xfe\xff\x8a\x06\x00\x00\x00\x00\x00\x01J\xff\xff\xff\xff\
                \x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01eX\x01\x00\x00\x00bq\x04K\x01\x85q\x05\
                X\x01\x00\x00\x00cq\x06K\x01K\x02\x86q\x07X\x01\x00\x00\x00dq\x08K\x01K\x02K\x03\x87q\x09\
                X\x01\x00\x00\x00eq\x0a(K\x01K\x02K\x03K\x04tq\x0bX\x01\x00\x00\x00sq\x0cc",
                module,
                b"\nset\nq\x0d]q\x0eK\x01a\x85q\x0fRq\x10X\x01\x00\x00\x00fq\x11c",
                module,
                b"\nfrozenset\nq\x12]q\x13K\x02a\x85q\x14Rq\x15K\x07ccollections\nOrderedDict\nq\x16)Rq\x17\
                X\x01\x00\x00\x00kq\x18)sX\x02\x00\x00\x00ddq\x19ccollections\ndefaultdict\nq\x1ac",
                module,
                b"\nlist\nq\x1b\x85q\x1cRq\x1dK\x01]q\x1esX\x01\x00\x00\x00mq\x1f]q (]q!X\x01\x00\x00\x00xq\"ah!eu.",
            ]
            .concat()
        };
        let four_and_five = |protocol: &[u8]| {
            [
                b"\x80".as_slice(),
                protocol,
                b"\x95\xf0\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88\x89\
                \x8c\x02\xc3\xa9\x94M,\x01J\x90\xee\xfe\xff\x8a\x06\x00\x00\x00\x00\x00\x01J\xff\xff\xff\xff\
                \x8a\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01e\x8c\x01b\x94K\x01\x85\x94\x8c\x01c\x94K\x01K\x02\x86\x94\
                \x8c\x01d\x94K\x01K\x02K\x03\x87\x94\x8c\x01e\x94(K\x01K\x02K\x03K\x04t\x94\x8c\x01s\x94\x8f\x94(K\x01\x90\
                \x8c\x01f\x94(K\x02\x91\x94K\x07\x8c\x0bcollections\x94\x8c\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01k\x94)s\
                \x8c\x02dd\x94h\x10\x8c\x0bdefaultdict\x94\x93\x94\x8c\x08builtins\x94\x8c\x04list\x94\x93\x94\x85\x94R\x94\
                K\x01]\x94s\x8c\x01m\x94]\x94(]\x94\x8c\x01x\x94ah eu.",
            ]
            .concat()
        };
        let expect = "{'a':[1,2.5,None,true,false,'é',300,-70000,1099511627776,-1,long[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],\
            'b':(1),'c':(1,2),'d':(1,2,3),'e':(1,2,3,4),'s':set[1],'f':set[2],7:{'k':()},'dd':{1:[]},'m':[['x'],['x']]}";
        check(&two_and_three(b"\x02", b"__builtin__"), expect);
        check(&two_and_three(b"\x03", b"builtins"), expect);
        check(&four_and_five(b"\x04"), expect);
        check(&four_and_five(b"\x05"), expect);
    }

    #[test]
    fn calls_and_states_are_kept_and_nothing_runs() {
        check(b"\x80\x02cos\nsystem\nX\x06\x00\x00\x00rm -rf\x85R.", "os.system('rm -rf')|||");
        check(b"\x80\x02cm\nA\n)\x81}X\x01\x00\x00\x00xK\x05sb.", "m.A()|{'x':5}||");
        check(b"\x80\x02cm\nA\n)}\x92K\x01K\x02sK\x07a(K\x08K\x09e.", "m.A()||1:2|7,8,9");
        check(b"(cm\nA\nK\x01o.", "m.A(1)|||");
        check(b"(K\x01im\nA\n.", "m.A(1)|||");
        check(b"\x80\x02X\x01\x00\x00\x00xQ.", "<'x'>");
        check(b"\x80\x02\x82\x09.", "copyreg.extension.9");
        check(b"ccollections\nOrderedDict\n](X\x01\x00\x00\x00aK\x01la\x85R.", "{'a':1}");
    }

    #[test]
    fn text_lines_of_old_protocols() {
        check(b"(I01\nI00\nI-5\nL7L\nF1.5\nI9007199254740993\nl.", "[true,false,-5,7,1.5,9007199254740993]");
        check(b"(K\x01K\x02dp3\n0g3\n.", "{1:2}");
        check(b"\x80\x05C\x02xy\x96\x01\0\0\0\0\0\0\0z\x86.", "(b[120, 121],b[122])");
        check(b"(K\x01K\x021K\x03(02.", "3");
    }

    #[test]
    fn broken_programs_are_errors() {
        check_error(b"", "1 bytes are announced, 0 are left");
        check_error(b"\x80\x09N.", "protocol 9");
        check_error(b"\x80\x02", "1 bytes are announced");
        check_error(b".", "the stack is empty");
        check_error(b"N(.", "the stack is empty");
        check_error(b"\x85.", "the stack is empty");
        check_error(b"N(\x85.", "the stack is empty");
        check_error(b"t.", "a group ends that never began");
        check_error(b"(o.", "a call names no class");
        check_error(b"h\x05.", "nothing was kept as number 5");
        check_error(b"}(Nu.", "a key has no value");
        check_error(b"NNa.", "not a list");
        check_error(b"NNNs.", "not a dict");
        check_error(b"NN\x93.", "not named by two texts");
        check_error(b"Ix\n.", "something else than digits");
        check_error(b"cabc", "a line has no end");
        check_error(b"S'abc'\n.", "protocol 0");
        check_error(b"\x97.", "another file");
        check_error(b"\xff.", "0xff is no instruction");
    }

    #[test]
    fn announced_lengths_are_not_believed() {
        check_error(b"X\xff\xff\xff\xffabc", "4294967295 bytes are announced, 3 are left");
        check_error(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "bytes are announced");
        check_error(b"\x8e\x00\x00\x00\x00\x00\x01\x00\x00", "bytes are announced");
        check_error(b"\x8b\xff\xff\xff\x7f\x01", "2147483647 bytes are announced");
        check_error(b"r\xff\xff\xff\xff", "the stack is empty");
    }

    #[test]
    fn endless_programs_end() {
        let error = run(&vec![b'N'; MAX_INSTRUCTIONS + 1], 0).unwrap_err();
        assert!(error.contains("more than 4000000 instructions"), "{error}");
    }
}
