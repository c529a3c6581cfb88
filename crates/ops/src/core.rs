//! The core ops: each lowers to Nests.

pub mod bitcast;
pub mod broadcast;
pub mod concat;
pub mod contract;
pub mod conv;
pub mod convert;
pub mod gather;
pub mod gather_elements;
pub mod gather_nd;
pub mod iota;
pub mod map;
pub mod pad;
pub mod philox;
pub mod reduce;
pub mod reduce_window;
pub mod region;
pub mod reshape;
pub mod scatter_elements;
pub mod scatter_nd;
pub mod sizes;
pub mod slice;
pub mod transpose;

pub mod accumulate;
pub mod refine;
pub mod window;
