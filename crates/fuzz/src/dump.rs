//! A model with inputs and outputs as files, in the layout of ONNX's own tests:
//!
//! ```text
//! DIR/NAME/model.onnx
//! DIR/NAME/test_data_set_0/input_0.pb     // a TensorProto for each input, in order
//! DIR/NAME/test_data_set_0/output_0.pb    // .. and output
//! DIR/NAME/test_data_set_0/bounds.txt     // for each output how far off another result may be
//! ```

use crate::draft::tensor_proto;
use ir::Tensor;
use onnx::proto::ModelProto;
use prost::Message;
use std::fs;
use std::io;
use std::path::Path;

/// What one call was given and gave.
pub struct DataSet {
    pub inputs: Vec<Tensor>,
    pub outputs: Vec<Tensor>,
    pub bounds: Vec<f64>,
}

/// Writes the model and its calls to a folder, which is made.
pub fn dump(folder: &Path, model: &ModelProto, calls: &[DataSet]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("model.onnx"), model.encode_to_vec())?;
    let graph = model.graph.clone().unwrap_or_default();
    let names = |infos: &[onnx::proto::ValueInfoProto]| infos.iter().map(|info| info.name.clone()).collect::<Vec<String>>();
    for (at, call) in calls.iter().enumerate() {
        let set = folder.join(format!("test_data_set_{at}"));
        fs::create_dir_all(&set)?;
        write_tensors(&set, "input", &names(&graph.input), &call.inputs)?;
        write_tensors(&set, "output", &names(&graph.output), &call.outputs)?;
        let bounds: String = call.bounds.iter().map(|bound| format!("{bound:e}\n")).collect();
        fs::write(set.join("bounds.txt"), bounds)?;
    }
    Ok(())
}

fn write_tensors(folder: &Path, stem: &str, names: &[String], tensors: &[Tensor]) -> io::Result<()> {
    for (at, (name, tensor)) in names.iter().zip(tensors).enumerate() {
        fs::write(folder.join(format!("{stem}_{at}.pb")), tensor_proto(name, tensor).encode_to_vec())?;
    }
    Ok(())
}
