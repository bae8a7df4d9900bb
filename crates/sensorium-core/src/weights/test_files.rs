//! Small torch files, written out by hand for the tests of this crate's readers.

use super::zip;

/// A pickle under construction: each method adds instructions.
#[derive(Clone)]
pub(super) struct Pickle(Vec<u8>);

impl Pickle {
    pub(super) fn new() -> Self {
        Self(b"\x80\x02".to_vec())
    }

    pub(super) fn raw(mut self, code: &[u8]) -> Self {
        self.0.extend(code);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.raw(b"X").raw(&length).raw(text.as_bytes())
    }

    pub(super) fn int(self, int: i64) -> Self {
        self.raw(b"\x8a\x08").raw(&int.to_le_bytes())
    }

    pub(super) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub(super) fn ints(self, ints: &[i64]) -> Self {
        ints.iter().fold(self.raw(b"("), |pickle, int| pickle.int(*int)).raw(b"t")
    }

    /// A dict of what `entries` writes: keys and values in turn.
    pub(super) fn dict(self, entries: impl FnOnce(Self) -> Self) -> Self {
        entries(self.raw(b"}(")).raw(b"u")
    }

    pub(super) fn list(self, elements: impl FnOnce(Self) -> Self) -> Self {
        elements(self.raw(b"](")).raw(b"e")
    }

    pub(super) fn storage(self, class: &str, key: &str) -> Self {
        self.raw(b"(").text("storage").global("torch", class).text(key).text("cpu").int(1).raw(b"tQ")
    }

    /// A tensor as every torch since 0.4 writes it.
    pub(super) fn tensor(self, class: &str, key: &str, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        let opened = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"(").storage(class, key);
        opened.int(offset).ints(shape).ints(strides).raw(b"\x89").ordered_dict().raw(b"tR")
    }

    pub(super) fn parameter(self, tensor: impl FnOnce(Self) -> Self) -> Self {
        tensor(self.global("torch._utils", "_rebuild_parameter").raw(b"(")).raw(b"\x88").ordered_dict().raw(b"tR")
    }

    fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").raw(b")R")
    }

    /// An array of NumPy; `data` writes what holds its numbers, or a list of its objects.
    pub(super) fn ndarray(self, kind: &str, shape: &[i64], data: impl FnOnce(Self) -> Self) -> Self {
        let made = self.global("numpy.core.multiarray", "_reconstruct").raw(b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R");
        let shaped = made.raw(b"(K\x01").ints(shape).global("numpy", "dtype").raw(b"(").text(kind);
        data(shaped.raw(b"K\x00K\x01tR(K\x03U\x01<NNNtb\x89")).raw(b"tb")
    }

    /// An object of a class, with attributes.
    pub(super) fn object(self, module: &str, class: &str, attributes: impl FnOnce(Self) -> Self) -> Self {
        self.global(module, class).raw(b")\x81").dict(attributes).raw(b"b")
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.push(b'.');
        self.0
    }
}

/// A NumPy file with this header, version 1.0.
pub(super) fn npy_file(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat()
}

/// A NumPy file of one pickled object, which `object` writes.
pub(super) fn npy_object_file(object: impl FnOnce(Pickle) -> Pickle) -> Vec<u8> {
    let pickle = Pickle::new().ndarray("O8", &[], |pickle| pickle.list(object)).end();
    npy_file("{'descr': '|O', 'fortran_order': False, 'shape': (), }\n", &pickle)
}

/// A file in torch's zip format.
pub(super) fn zip_file(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let names: Vec<String> = storages.iter().map(|(key, _)| format!("archive/data/{key}")).collect();
    let mut entries = vec![("archive/data.pkl", pickle), ("archive/byteorder", b"little".as_slice())];
    entries.extend(names.iter().zip(storages).map(|(name, (_, bytes))| (name.as_str(), *bytes)));
    zip::archive(&entries)
}

/// A file in torch's legacy format. Each storage is a key, its count of elements and its bytes.
pub(super) fn legacy_file(little_endian: bool, pickle: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let flag: &[u8] = if little_endian { b"\x88" } else { b"\x89" };
    let machine = Pickle::new().dict(|pickle| pickle.text("little_endian").raw(flag)).end();
    let keys = Pickle::new().list(|pickle| storages.iter().fold(pickle, |pickle, (key, _, _)| pickle.text(key))).end();
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    let mut file = [magic, b"\x80\x02M\xe9\x03.".as_slice(), &machine, pickle, &keys].concat();
    for (_, count, bytes) in storages {
        file.extend(count.to_le_bytes());
        file.extend(*bytes);
    }
    file
}
