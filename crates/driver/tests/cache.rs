//! Code from the store is the code that would be generated.

use cache::{Store, nearest};
use driver::{Compiled, Options, Sabotage, compile_graph};
use ir::{DType, Graph, TensorType};
use nest::Func;
use ops::Builder;
use std::sync::Arc;
use std::time::SystemTime;
use sym::Expr;
use target::Target;
use tempfile::TempDir;

/// `y = exp(a b) + a b`, in two kernels at least with the packing of nothing else.
fn model(k: i64) -> Graph {
    let ty = |rows: Expr, columns: i64| TensorType::new(DType::F32, vec![rows, Expr::from(columns)]);
    let mut b = Builder::new("model");
    let (x, w) = (b.input("x", ty("n".parse().unwrap(), k)), b.input("w", ty(Expr::from(k), 24)));
    let product = b.contract("mk,kn->mn", x, w).unwrap();
    let exp = b.map(Func::Exp, &[product]).unwrap();
    let sum = b.map(Func::Add, &[exp, product]).unwrap();
    b.output("y", sum);
    b.finish()
}

fn options(folder: Option<&TempDir>) -> Options {
    let store = folder.map(|folder| Arc::new(Store::open(folder.path(), 1 << 20, SystemTime::now()).unwrap()));
    Options { store, ..Options::new(Target::x86_64_v3(), 2) }
}

fn compiled(k: i64, options: &Options) -> Compiled {
    compile_graph(model(k), options).unwrap()
}

#[test]
fn cold_warm_and_without_give_the_same_objects() {
    let folder = TempDir::new().unwrap();
    let without = compiled(16, &options(None));
    let cold = compiled(16, &options(Some(&folder)));
    let warm = compiled(16, &options(Some(&folder)));
    assert_eq!((cold.cache.hits, warm.cache.misses.len()), (0, 0));
    assert_eq!(cold.cache.misses.len(), cold.image.objects.len());
    assert_eq!(warm.cache.hits, warm.image.objects.len());
    assert_eq!(without.image.objects, cold.image.objects);
    assert_eq!(without.image.objects, warm.image.objects);
    // beside the objects, the schedules of all groups
    let entries = options(Some(&folder)).store.unwrap().entries().unwrap();
    let schedules = |key: &cache::Key| key.field("groups").is_some();
    assert_eq!(entries.iter().filter_map(|file| file.key.as_ref()).filter(|key| schedules(key)).count(), 1);
    // a kernel that came from the store can still be looked at
    assert_eq!(driver::text::print_kernels(&without), driver::text::print_kernels(&warm));
}

#[test]
fn damaged_entries_are_generated_anew() {
    let folder = TempDir::new().unwrap();
    let cold = compiled(16, &options(Some(&folder)));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let again = compiled(16, &options(Some(&folder)));
    assert_eq!((again.cache.hits, &again.image.objects), (0, &cold.image.objects));
    assert_eq!(compiled(16, &options(Some(&folder))).cache.misses, []);
}

#[test]
fn a_miss_names_its_field() {
    let folder = TempDir::new().unwrap();
    compiled(16, &options(Some(&folder)));
    let keys: Vec<_> = options(Some(&folder)).store.unwrap().entries().unwrap().into_iter().filter_map(|file| file.key).collect();
    let other_target = Options { target: Target { cores: 3, ..Target::x86_64_v3() }, ..options(Some(&folder)) };
    for (k, options, field) in [(16, other_target, "target"), (40, options(Some(&folder)), "nest")] {
        let misses = compiled(k, &options).cache.misses;
        let kernel = misses.iter().find(|miss| miss.key.field("nest").is_some()).unwrap();
        let fields: Vec<String> = nearest(&kernel.key, &keys).unwrap().into_iter().map(|difference| difference.field).collect();
        assert!(fields.iter().any(|name| name == field), "{fields:?}");
    }
}

/// A kernel that was corrupted on purpose is neither kept nor taken from the store.
#[test]
fn sabotaged_kernels_stay_outside() {
    let folder = TempDir::new().unwrap();
    let cold = compiled(16, &options(Some(&folder)));
    let sabotage = Some(Sabotage { pass: "schedule".to_string(), seed: 0 });
    let corrupted = compiled(16, &Options { sabotage, ..options(Some(&folder)) });
    assert_ne!(corrupted.image.objects, cold.image.objects);
    let warm = compiled(16, &options(Some(&folder)));
    assert_eq!((warm.cache.misses.len(), warm.image.objects), (0, cold.image.objects));
}
