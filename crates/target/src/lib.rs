//! Target records: what the compiler knows of the machine that it generates for. A record is data with a text form (JSON).
//!
//! - [`record`]: the record, its text
//! - [`predefined`]: records that have a name
//! - [`processor`]: what code for a record asks a processor for
//! - [`costs`]: what choices take for granted of the machine, as numbers that can be fitted
//! - [`native`]: the record of this machine; the only place that looks at it

pub mod costs;
pub mod native;
pub mod predefined;
pub mod processor;
pub mod record;

pub use costs::Costs;
pub use record::Target;
