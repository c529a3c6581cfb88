//! Target records: what the compiler knows of the machine that it generates for. A record is data with a text form (JSON).
//!
//! - [`record`]: the record, its text
//! - [`predefined`]: records that have a name
//! - [`native`]: the record of this machine; the only place that looks at it

pub mod native;
pub mod predefined;
pub mod record;

pub use record::Target;
