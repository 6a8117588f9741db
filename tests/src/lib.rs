//! Integration and hostile tests of Cordon.
