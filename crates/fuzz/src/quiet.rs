//! Panics as values: what a check wants to know of them, and nothing on the screen.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a panic happened and what it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Panic {
    /// `crates/nest/src/nest.rs:12`
    pub place: String,
    pub message: String,
}

/// What `work` gives, or its panic; of several, in threads that it started, the first. The process's hook is replaced meanwhile, so one
/// call at a time.
pub fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    let first: Arc<Mutex<Option<Panic>>> = Arc::default();
    let seen = first.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or(String::new(), |at| format!("{}:{}", at.file(), at.line()));
        let message = text_of(info.payload());
        seen.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(Panic { place, message });
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    panic::set_hook(before);
    let caught = first.lock().unwrap_or_else(PoisonError::into_inner).take();
    result.map_err(|_| caught.unwrap_or(Panic { place: String::new(), message: "a panic that the hook has not seen".to_string() }))
}

/// What `panic!` was given.
fn text_of(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string())).unwrap_or_else(|| "a panic without a message".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_has_a_place_and_a_message() {
        assert_eq!(quietly(|| 3), Ok(3));
        let caught = quietly(|| panic!("no {}", 7)).unwrap_err();
        assert_eq!(caught.message, "no 7");
        assert!(caught.place.starts_with("crates/fuzz/src/quiet.rs:"), "{}", caught.place);
    }
}
