//! sym
