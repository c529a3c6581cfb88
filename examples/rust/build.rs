//! Links the artefact in the folder that ARTEFACT names, and tells the crate where its wrapper is.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-env-changed=ARTEFACT");
    let folder = std::env::var("ARTEFACT").expect("ARTEFACT names the folder that `inkle compile ppocr_cls.onnx --rust -o FOLDER` wrote");
    let folder = Path::new(&folder).canonicalize().unwrap_or_else(|why| panic!("{folder}: {why}"));
    for name in ["ppocr_cls.o", "ppocr_cls.rs"] {
        println!("cargo:rerun-if-changed={}", folder.join(name).display());
    }
    println!("cargo:rustc-link-arg={}", folder.join("ppocr_cls.o").display());
    println!("cargo:rustc-env=WRAPPER={}", folder.join("ppocr_cls.rs").display());
}
