//! Reading what package managers wrote into an image. Pure functions on bytes that anybody may have written: what says too little or
//! something impossible is no package, and the rest goes on.

pub(crate) mod copyright;
pub(crate) mod fields;
pub(crate) mod npm;
pub(crate) mod python;
pub(crate) mod rpm;
