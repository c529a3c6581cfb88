use super::*;

/// A message of one length-delimited field: its key, its length, its content. All lengths here are below 128.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag << 3 | 2, content.len() as u8], content].concat()
}

#[test]
fn repeated_scalars_are_read_packed_and_unpacked() {
    let packed = AttributeProto::decode(&field(8, &[1, 2, 3])[..]).unwrap();
    let unpacked = AttributeProto::decode(&[0x40, 1, 0x40, 2, 0x40, 3][..]).unwrap();
    assert_eq!(packed.ints, [1, 2, 3]);
    assert_eq!(packed, unpacked);

    let one = 1f32.to_le_bytes();
    let packed = TensorProto::decode(&field(4, &[one, one].concat())[..]).unwrap();
    let unpacked = TensorProto::decode(&[&[0x25][..], &one, &[0x25], &one].concat()[..]).unwrap();
    assert_eq!(packed.float_data, [1.0, 1.0]);
    assert_eq!(packed, unpacked);
}

#[test]
fn bytes_fields_share_the_decoded_buffer() {
    let raw = Bytes::from(vec![7u8; 64]);
    let tensor = TensorProto { raw_data: Some(raw), ..Default::default() };
    let graph = GraphProto { initializer: vec![tensor], ..Default::default() };
    let file = Bytes::from(ModelProto { graph: Some(graph), ..Default::default() }.encode_to_vec());
    let model = ModelProto::decode(file.clone()).unwrap();
    let raw = model.graph.unwrap().initializer[0].raw_data.clone().unwrap();
    assert!(file.as_ptr_range().contains(&raw.as_ptr()));
}

#[test]
fn deep_nesting_is_an_error_and_not_an_overflow() {
    let mut model = ModelProto::default();
    for _ in 0..1000 {
        let attribute = AttributeProto { g: model.graph.take().map(Box::new), ..Default::default() };
        let node = NodeProto { attribute: vec![attribute], ..Default::default() };
        model.graph = Some(GraphProto { node: vec![node], ..Default::default() });
    }
    let error = ModelProto::decode(&model.encode_to_vec()[..]).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
}

#[test]
fn fields_that_are_left_out_are_skipped() {
    let training_info = [0xa2, 1, 2, 0x0a, 0];
    let ir_version = [0x08, 14];
    let model = ModelProto::decode(&[&training_info[..], &ir_version].concat()[..]).unwrap();
    assert_eq!(model, ModelProto { ir_version: 14, ..Default::default() });
}

#[test]
fn empty_messages_stay_small() {
    assert!(size_of::<AttributeProto>() <= 400, "{}", size_of::<AttributeProto>());
    assert!(size_of::<TensorProto>() <= 400, "{}", size_of::<TensorProto>());
    assert!(size_of::<NodeProto>() <= 256, "{}", size_of::<NodeProto>());
}

#[test]
fn data_types_map_to_their_numbers() {
    for number in 1..=28 {
        let data_type = DataType::try_from(number).unwrap();
        assert_eq!(data_type as i32, number);
        assert_eq!(data_type.bits().is_none(), data_type == DataType::String);
    }
    assert!(DataType::try_from(29).is_err());
}
