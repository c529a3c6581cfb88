use super::*;
use crate::proto::{DataLocation, DataType, GraphProto, StringStringEntryProto, TensorProto};
use proptest::prelude::*;

fn memory() -> ModelFile {
    ModelFile::from_bytes(model(Vec::new())).unwrap()
}

fn model(initializer: Vec<TensorProto>) -> Bytes {
    let graph = GraphProto { initializer, ..Default::default() };
    ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec().into()
}

fn tensor(data_type: DataType, dims: &[i64]) -> TensorProto {
    TensorProto { name: "w".into(), data_type: data_type.into(), dims: dims.into(), ..Default::default() }
}

fn raw(data_type: DataType, dims: &[i64], bytes: &[u8]) -> TensorProto {
    TensorProto { raw_data: Some(Bytes::copy_from_slice(bytes)), ..tensor(data_type, dims) }
}

fn int32s(data_type: DataType, dims: &[i64], values: &[i32]) -> TensorProto {
    TensorProto { int32_data: values.into(), ..tensor(data_type, dims) }
}

fn external(dims: &[i64], entries: &[(&str, &str)]) -> TensorProto {
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.into(), value: value.into() };
    let external_data = entries.iter().map(entry).collect();
    TensorProto { external_data, data_location: DataLocation::External.into(), ..tensor(DataType::Uint8, dims) }
}

/// The bytes of a tensor, or the message of its error.
fn bytes_of(file: &ModelFile, tensor: &TensorProto) -> Result<Vec<u8>, String> {
    match file.tensor_bytes(tensor).map_err(|error| error.to_string())?.elements {
        Elements::Numbers(bytes) => Ok(bytes.to_vec()),
        Elements::Strings(strings) => Ok(strings.concat()),
    }
}

#[track_caller]
fn check(tensor: TensorProto, bytes: &[u8]) {
    assert_eq!(bytes_of(&memory(), &tensor).as_deref(), Ok(bytes));
}

#[track_caller]
fn check_fault(tensor: TensorProto, message: &str) {
    assert_eq!(bytes_of(&memory(), &tensor), Err(format!("tensor `w`: {message}")));
}

#[test]
fn typed_fields_become_little_endian_bytes() {
    check(TensorProto { float_data: vec![1.0], ..tensor(DataType::Float, &[]) }, &[0, 0, 0x80, 0x3f]);
    check(TensorProto { float_data: vec![0.0, 1.0], ..tensor(DataType::Complex64, &[1]) }, &[0, 0, 0, 0, 0, 0, 0x80, 0x3f]);
    check(TensorProto { double_data: vec![1.0], ..tensor(DataType::Double, &[1]) }, &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
    check(TensorProto { int64_data: vec![-2], ..tensor(DataType::Int64, &[1]) }, &[0xfe, 255, 255, 255, 255, 255, 255, 255]);
    check(TensorProto { uint64_data: vec![258], ..tensor(DataType::Uint64, &[1]) }, &[2, 1, 0, 0, 0, 0, 0, 0]);
    check(TensorProto { uint64_data: vec![258], ..tensor(DataType::Uint32, &[1]) }, &[2, 1, 0, 0]);
    check(int32s(DataType::Int32, &[1], &[-2]), &[0xfe, 0xff, 0xff, 0xff]);
    check(int32s(DataType::Int16, &[2], &[-2, 3]), &[0xfe, 0xff, 3, 0]);
    check(int32s(DataType::Float16, &[1], &[0x3c00]), &[0, 0x3c]);
    check(int32s(DataType::Int8, &[2], &[-2, 3]), &[0xfe, 3]);
    check(int32s(DataType::Bool, &[2], &[1, 0]), &[1, 0]);
    check(tensor(DataType::Float, &[3, 0]), &[]);
}

#[test]
fn packed_elements_round_up_to_bytes() {
    check(raw(DataType::Int4, &[3], &[0x21, 0x03]), &[0x21, 0x03]);
    check(int32s(DataType::Uint4, &[3], &[0xe1, 0x03]), &[0xe1, 0x03]);
    check(int32s(DataType::Int4, &[2], &[-1]), &[0xff]);
    check(int32s(DataType::Int2, &[5], &[0xe4, 0x01]), &[0xe4, 0x01]);
    check(raw(DataType::Float4e2m1, &[], &[7]), &[7]);
    check(int32s(DataType::Float6e2m3, &[5], &[1, 2, 3, 4, 5]), &[0x81, 0x30, 0x10, 5]);
    check_fault(raw(DataType::Int4, &[3], &[1, 2, 3]), "its dims [3] of int4 need 2 bytes but raw_data has 3");
    check_fault(int32s(DataType::Float6e3m2, &[4], &[1, 2, 3]), "its dims [4] of float6e3m2 need 4 entries but int32_data has 3");
}

#[test]
fn strings_are_a_kind_of_their_own() {
    let strings = TensorProto { string_data: vec!["a".into(), "bc".into()], ..tensor(DataType::String, &[2]) };
    let read = memory().tensor_bytes(&strings).unwrap();
    assert_eq!(read, TensorBytes { data_type: DataType::String, dims: vec![2], elements: Elements::Strings(strings.string_data) });
    check_fault(tensor(DataType::String, &[1]), "its dims [1] need 1 elements but it has none");
    check_fault(raw(DataType::String, &[1], b"a"), "it is of type string, whose elements can't be in raw_data");
}

#[test]
fn faults_name_what_disagrees() {
    check_fault(TensorProto { data_type: 77, ..tensor(DataType::Int8, &[]) }, "its data type is 77, which is none of 1 to 28");
    check_fault(tensor(DataType::Undefined, &[]), "its data type is 0, which is none of 1 to 28");
    check_fault(TensorProto { data_location: 2, ..tensor(DataType::Int8, &[]) }, "its data location is 2, which is neither 0 nor 1");
    check_fault(tensor(DataType::Int8, &[2, -3]), "its dims [2, -3] have a negative size at axis 1");
    check_fault(tensor(DataType::Int8, &[1 << 40, 1 << 40]), "its size overflows: dims [1099511627776, 1099511627776] of int8");
    check_fault(tensor(DataType::Double, &[1 << 60]), "its size overflows: dims [1152921504606846976] of double");
    check_fault(raw(DataType::Int64, &[2], &[0; 8]), "its dims [2] of int64 need 16 bytes but raw_data has 8");
    check_fault(int32s(DataType::Uint8, &[1], &[256]), "its entry 0 is 256, which is out of range for uint8");
    check_fault(raw(DataType::Bool, &[2], &[1, 2]), "its entry 1 is 2, which is out of range for bool");
    check_fault(int32s(DataType::Float, &[1], &[1]), "it is of type float, whose elements can't be in int32_data");
    let both = TensorProto { float_data: vec![1.0], ..raw(DataType::Float, &[1], &[0; 4]) };
    check_fault(both, "it has elements in both raw_data and float_data");
    let wide = TensorProto { uint64_data: vec![1 << 32], ..tensor(DataType::Uint32, &[1]) };
    check_fault(wide, "its entry 0 is 4294967296, which is out of range for uint32");
}

#[test]
fn files_that_are_no_models_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| ModelFile::open(path).unwrap_err().to_string();
    assert!(message(folder.path()).contains("not a regular file"));
    assert!(message(&folder.path().join("none")).contains("No such file"));
    let path = folder.path().join("empty.onnx");
    fs::write(&path, []).unwrap();
    assert!(message(&path).ends_with("empty.onnx: not an ONNX model: it has no graph"));
    fs::write(&path, [0xff; 20]).unwrap();
    assert!(message(&path).contains("not an ONNX model: failed to decode"));
}

/// A folder `m` with `model.onnx`, ten bytes 0..10 in `model.data`, and outside of it `secret`; the model, opened.
fn on_disk() -> (tempfile::TempDir, ModelFile) {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("m");
    fs::create_dir(&folder).unwrap();
    fs::write(top.path().join("secret"), [1; 10]).unwrap();
    fs::write(folder.join("model.data"), (0..10).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.join("model.onnx"), model(vec![raw(DataType::Uint8, &[3], &[4, 5, 6])])).unwrap();
    let file = ModelFile::open(&folder.join("model.onnx")).unwrap();
    (top, file)
}

#[test]
fn an_opened_model_shares_its_mapping() {
    let (_top, file) = on_disk();
    let weights = &file.model.graph.as_ref().unwrap().initializer[0];
    let Elements::Numbers(bytes) = file.tensor_bytes(weights).unwrap().elements else { panic!("not numbers") };
    assert_eq!(bytes[..], [4, 5, 6]);
    assert_eq!(bytes.as_ptr(), weights.raw_data.as_ref().unwrap().as_ptr());
}

#[test]
fn external_data_is_a_slice_of_its_file() {
    let (_top, file) = on_disk();
    let read = |dims: &[i64], entries: &[(&str, &str)]| bytes_of(&file, &external(dims, entries));
    let whole = [("location", "model.data"), ("checksum", "unread")];
    assert_eq!(read(&[2], &[("location", "./model.data"), ("offset", "3"), ("length", "2")]), Ok(vec![3, 4]));
    assert_eq!(read(&[10], &whole), Ok((0..10).collect()));
    assert_eq!(read(&[0, 4], &[("location", "model.data"), ("offset", "10")]), Ok(Vec::new()));
    assert_eq!(file.external.mapped_locations(), ["./model.data", "model.data"]);
}

#[test]
fn external_data_outside_its_file_or_folder_is_an_error() {
    let (top, file) = on_disk();
    let folder = top.path().join("m");
    std::os::unix::fs::symlink(top.path().join("secret"), folder.join("link")).unwrap();
    std::os::unix::fs::symlink(folder.join("model.data"), folder.join("inside")).unwrap();
    let secret = top.path().join("secret").canonicalize().unwrap();
    let check = |entries: &[(&str, &str)], message: &str| {
        assert_eq!(bytes_of(&file, &external(&[4], entries)), Err(format!("tensor `w`: {message}")));
    };
    check(&[], "its external_data has no location");
    check(&[("location", "")], "its external_data has no location");
    check(&[("location", "model.data"), ("offset", "-1")], "its external_data's offset `-1` is not a number of bytes");
    check(&[("location", "model.data"), ("length", "5")], "its dims need 4 bytes but its external_data's length is 5");
    let past_end = |offset| format!("its 4 bytes at offset {offset} are not within the 10 bytes of its external file `model.data`");
    check(&[("location", "model.data"), ("offset", "7")], &past_end("7"));
    check(&[("location", "model.data"), ("offset", "18446744073709551615")], &past_end("18446744073709551615"));
    let bad = |location| format!("its external file `{location}` is not a relative path below the model's folder");
    check(&[("location", "../secret")], &bad("../secret"));
    check(&[("location", "/dev/zero")], &bad("/dev/zero"));
    let outside = format!("its external file `link` is outside the model's folder: it leads to {}", secret.display());
    check(&[("location", "link")], &outside);
    check(&[("location", ".")], "its external file `.`: not a regular file");
    assert_eq!(bytes_of(&file, &external(&[10], &[("location", "inside")])), Ok((0..10).collect()));
    let no_folder = bytes_of(&memory(), &external(&[4], &[("location", "a")]));
    assert_eq!(no_folder, Err("tensor `w`: a model in memory has no folder for its external file `a`".into()));
}

#[test]
fn a_link_to_a_model_finds_external_data_beside_either() {
    let (top, _) = on_disk();
    let links = top.path().join("links");
    fs::create_dir(&links).unwrap();
    std::os::unix::fs::symlink("../m/model.onnx", links.join("model.onnx")).unwrap();
    std::os::unix::fs::symlink("../m/model.data", links.join("model.data")).unwrap();
    let file = ModelFile::open(&links.join("model.onnx")).unwrap();
    assert_eq!(file.folder(), Some(links.canonicalize().unwrap().as_path()));
    assert_eq!(bytes_of(&file, &external(&[10], &[("location", "model.data")])), Ok((0..10).collect()));
}

/// Tensors whose type, dims and fields mostly disagree.
fn any_tensor() -> impl Strategy<Value = TensorProto> {
    let dims = prop::collection::vec(prop_oneof![0..5i64, any::<i64>()], 0..4);
    let raw_data = prop::option::of(prop::collection::vec(0..3u8, 0..20).prop_map(Bytes::from));
    let ints = prop::collection::vec(prop_oneof![-1..3i32, any::<i32>()], 0..5);
    let counts = (0..3usize, 0..3usize, 0..3usize, prop::collection::vec(any::<u64>(), 0..3));
    let location = ("[a./]{0,3}", "-?[0-9]{0,20}");
    (0..30i32, dims, raw_data, ints, counts, 0..3i32, location).prop_map(
        |(data_type, dims, raw_data, int32_data, counts, data_location, place)| {
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
            TensorProto {
                dims,
                data_type,
                raw_data,
                int32_data,
                float_data: vec![1.0; counts.0],
                double_data: vec![1.0; counts.1],
                string_data: vec![Bytes::from_static(b"s"); counts.2],
                uint64_data: counts.3,
                data_location,
                external_data: vec![entry("location", place.0), entry("offset", place.1)],
                ..Default::default()
            }
        },
    )
}

/// Decodes `bytes` and reads every tensor; the result does not matter, only that there is one.
fn read_all(bytes: Vec<u8>) {
    if let Ok(file) = ModelFile::from_bytes(bytes.into()) {
        file.model.graph.iter().flat_map(|graph| &graph.initializer).for_each(|tensor| drop(file.tensor_bytes(tensor)));
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_all(bytes);
    }

    #[test]
    fn any_tensor_reads_or_fails(tensor in any_tensor()) {
        let (_top, file) = on_disk();
        if let Ok(TensorBytes { data_type, dims, elements: Elements::Numbers(bytes) }) = file.tensor_bytes(&tensor) {
            let count = if dims.contains(&0) { 0 } else { dims.iter().product() };
            prop_assert_eq!(bytes.len() as i64, (count * i64::from(data_type.bits().unwrap()) + 7) / 8);
        }
    }

    #[test]
    fn a_damaged_model_reads_or_fails(
        tensors in prop::collection::vec(any_tensor(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = model(tensors).to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(end) = end {
            bytes.truncate(end.index(bytes.len()));
        }
        read_all(bytes);
    }
}
