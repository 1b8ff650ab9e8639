//! What hyper wants of a runtime.

mod executor;
mod io;
mod timer;

pub use self::executor::HyperExecutor;
pub use self::io::HyperIo;
pub use self::timer::HyperTimer;
