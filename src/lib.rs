//! The camshaft runtime.
