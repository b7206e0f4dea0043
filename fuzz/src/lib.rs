//! What the fuzz targets share: a scene to judge in, and mutation by tokens.
//!
//! A target panics where a law is broken; libFuzzer then keeps the input below `artifacts/`.

pub mod scene;
pub mod tokens;
