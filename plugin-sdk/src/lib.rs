//! Write Cordon plugins: the C ABI, its Rust twin and make_plugin!.
