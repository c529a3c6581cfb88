use super::*;

/// A version 1 file of `header` and `data`.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
}

fn header(descr: &str, order: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}")
}

#[track_caller]
fn check(file: &[u8], dtype: DType, dims: &[usize], bytes: &[u8]) {
    let tensor = read(&mut &file[..], &Strings::default()).unwrap();
    assert_eq!((tensor.dtype(), tensor.dims(), tensor.bytes()), (dtype, dims, bytes));
}

#[track_caller]
fn check_fault(file: &[u8], message: &str) {
    assert_eq!(read(&mut &file[..], &Strings::default()).map(|_| ()).unwrap_err().to_string(), message);
}

#[test]
fn each_type_has_one_name() {
    for dtype in DType::ALL {
        assert_eq!(dtype_of(&descr_of(dtype)).unwrap(), dtype);
    }
    assert_eq!(descr_of(DType::F32), "<f4");
    assert_eq!(descr_of(DType::Bool), "|b1");
}

#[test]
fn a_written_file_has_numpys_layout() {
    let mut written = Vec::new();
    write(&mut written, &Tensor::new(DType::U16, vec![2, 1], Arc::new(vec![1, 2, 3, 4])).unwrap()).unwrap();
    let dict = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 1), }";
    assert_eq!(written.len(), 128 + 4);
    assert_eq!(&written[..10], b"\x93NUMPY\x01\x00\x76\x00");
    assert_eq!(written[10..128], format!("{dict:<117}\n").into_bytes()[..]);
    check(&written, DType::U16, &[2, 1], &[1, 2, 3, 4]);
}

#[test]
fn headers_of_all_versions_are_read() {
    let text = header("|i1", "False", "(2,)");
    check(&file(&text, &[1, 2]), DType::I8, &[2], &[1, 2]);
    for major in [2, 3] {
        let long = [MAGIC, &[major, 0], &(text.len() as u32).to_le_bytes(), text.as_bytes(), &[1, 2]].concat();
        check(&long, DType::I8, &[2], &[1, 2]);
    }
    check_fault(&[MAGIC, &[4, 0, 0, 0]].concat(), "its format version is 4; 1 to 3 are known");
    check_fault(&[MAGIC, &[2, 0, 255, 255, 255, 255]].concat(), "its header has 4294967295 bytes; at most 1048576 are read");
    check_fault(b"PK\x03\x04....", "not a .npy file: it does not begin with \\x93NUMPY");
}

#[test]
fn headers_may_be_spelled_in_several_ways() {
    let scalar = Header { descr: "<f8".into(), fortran_order: true, dims: vec![] };
    assert_eq!(parse_header("{\"shape\":(),\"fortran_order\":True,\"descr\":\"<f8\"}\n"), Some(scalar));
    let dims = |shape| parse_header(&header("<f4", "False", shape)).map(|header| header.dims);
    assert_eq!(dims("(3,)"), Some(vec![3]));
    assert_eq!(dims("(3L, 4L)"), Some(vec![3, 4]));
    assert_eq!(dims("( 3 , 4 )"), Some(vec![3, 4]));
    for shape in ["(-1,)", "(3 4)", "(,)", "3", "(3", "[3]", "(99999999999999999999,)"] {
        assert_eq!(dims(shape), None, "{shape}");
    }
    for text in ["", "{", "{}", "{'descr': '<f4'}", "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}"] {
        assert_eq!(parse_header(text), None, "{text}");
    }
}

#[test]
fn fortran_order_becomes_row_major() {
    check(&file(&header("|u1", "True", "(2, 3)"), &[0, 3, 1, 4, 2, 5]), DType::U8, &[2, 3], &[0, 1, 2, 3, 4, 5]);
    check(&file(&header("<i2", "True", "(2, 2)"), &[0, 9, 2, 9, 1, 9, 3, 9]), DType::I16, &[2, 2], &[0, 9, 1, 9, 2, 9, 3, 9]);
    check(&file(&header("|u1", "True", "()"), &[7]), DType::U8, &[], &[7]);
    check(&file(&header("|u1", "True", "(0, 2)"), &[]), DType::U8, &[0, 2], &[]);
}

#[test]
fn faults_say_what_disagrees() {
    check_fault(
        &file(&header(">f4", "False", "(1,)"), &[0; 4]),
        "its elements are big-endian (`>f4`); save it as little-endian: array.astype(array.dtype.newbyteorder('<'))",
    );
    check_fault(
        &file(&header("<c8", "False", "(1,)"), &[0; 8]),
        "its type is `<c8`, which is no bool, integer or float of 8 to 64 bits, and no string",
    );
    check_fault(&file(&header("<f4", "False", "(2,)"), &[0; 7]), "its shape [2] of f32 needs 8 bytes but only 7 follow the header");
    check_fault(&file(&header("<f4", "False", "(2,)"), &[0; 9]), "its shape [2] of f32 needs 8 bytes but more follow the header");
    check_fault(&file(&header("|b1", "False", "(2,)"), &[1, 2]), "its byte 1 is 2, which is no bool");
    let huge = usize::MAX.to_string();
    check_fault(&file(&header("<f4", "False", &format!("({huge},)")), &[]), &format!("its shape [{huge}] of f32 is too large"));
    check_fault(&file("{'descr': 1}", &[]), "its header can't be read: {'descr': 1}");
}

#[test]
fn strings_round_trip() {
    let strings = Strings::default();
    let texts: Vec<Arc<str>> = ["a", "", "\u{e9}\u{1f600}b", "a"].map(Arc::from).to_vec();
    let mut written = Vec::new();
    write_texts(&mut written, &[2, 2], &texts).unwrap();
    assert_eq!(written.len(), 128 + 4 * 3 * 4);
    let tensor = read(&mut &written[..], &strings).unwrap();
    assert_eq!((tensor.dims(), strings.texts(&tensor).unwrap()), (&[2, 2][..], texts));
    check_fault(&file(&header("<U1", "False", "(1,)"), &[0, 0, 0xff, 0]), "its string 0 holds what is no character");
    check_fault(&file(&header("<U0", "False", "(99999999999,)"), &[]), "its shape [99999999999] of u32 is too large");
}
