//! Generic functions, closures and traits.

use std::future::pending;

use async_trait::async_trait;

use crate::common::{is_described, zoo};

async fn leaf() {
    pending::<()>().await; // @leaf
}

async fn generic<T: Clone>(value: T) -> T {
    let copy = value.clone();
    leaf().await; // @generic
    copy
}

zoo!(
    a_type_parameter,
    generic(String::from("a")),
    "generic@generic(leaf@leaf(Pending))"
);
zoo!(
    another_type_parameter,
    generic([1u8; 33]),
    "generic@generic(leaf@leaf(Pending))"
);

async fn sized<const N: usize>() -> [u8; N] {
    let array = [0; N];
    leaf().await; // @sized
    array
}

zoo!(
    a_constant_parameter,
    sized::<7>(),
    "sized@sized(leaf@leaf(Pending))"
);
zoo!(
    another_constant_parameter,
    sized::<300>(),
    "sized@sized(leaf@leaf(Pending))"
);

async fn takes(future: impl Future) {
    future.await; // @takes
}

zoo!(
    a_future_as_argument,
    takes(generic(1)),
    "takes@takes(generic@generic(leaf@leaf(Pending)))"
);
zoo!(
    a_future_as_argument_of_its_own_function,
    takes(takes(takes(leaf()))),
    "takes@takes(takes@takes(takes@takes(leaf@leaf(Pending))))"
);

async fn calls<F: AsyncFn(u64)>(function: F) {
    function(3).await; // @calls
}

async fn closures() {
    let base = 4;
    calls(async |number| {
        leaf().await; // @closure
        assert!(number < base);
    })
    .await; // @closures
}

zoo!(
    an_async_closure,
    closures(),
    "closures@closures(calls@calls({async closure}@closure(leaf@leaf(Pending))))"
);

async fn once<F: AsyncFnOnce() -> usize>(function: F) -> usize {
    function().await // @once
}

async fn consumes() -> usize {
    let text = String::from("abc");
    let closure = async move || {
        leaf().await; // @consumed
        text.len()
    };
    once(closure).await // @consumes
}

#[test]
fn an_async_closure_that_is_called_once() {
    if !is_described() {
        return;
    }
    let text = crate::common::show(1, consumes());
    // What is called once is a state machine of its own in newer compilers, with a number.
    let text = text.replace("{async closure 1}", "{async closure}");
    assert_eq!(
        text,
        "consumes@consumes(once@once({async closure}@consumed(leaf@leaf(Pending))))"
    );
}

async fn plain_closure() {
    let closure = |number: u64| async move {
        leaf().await; // @plain
        number
    };
    closure(3).await; // @plain_closure
}

zoo!(
    a_closure_that_returns_a_block,
    plain_closure(),
    "plain_closure@plain_closure({async block}@plain(leaf@leaf(Pending)))"
);

trait Service {
    async fn call(&self);

    async fn twice(&self) {
        self.call().await; // @twice
        self.call().await;
    }
}

struct Local(u32);

impl Service for Local {
    async fn call(&self) {
        assert!(self.0 > 0);
        leaf().await; // @local
    }
}

async fn serve(service: impl Service) {
    service.twice().await; // @serve
}

zoo!(
    a_trait_with_a_default_method,
    serve(Local(1)),
    "serve@serve(twice@twice(call@local(leaf@leaf(Pending))))"
);

trait Numbers {
    fn number(&self) -> impl Future<Output = u64>;
}

impl Numbers for Local {
    async fn number(&self) -> u64 {
        leaf().await; // @number
        u64::from(self.0)
    }
}

async fn asks(numbers: &impl Numbers) -> u64 {
    numbers.number().await // @asks
}

zoo!(
    a_trait_that_returns_futures,
    async { asks(&Local(2)).await }, // @root
    "{async block}@root(asks@asks(number@number(leaf@leaf(Pending))))"
);

#[async_trait]
trait Boxed {
    async fn call(&self, number: u64) -> u64;

    async fn default(&self) -> u64 {
        self.call(3).await // @default
    }
}

#[async_trait]
impl Boxed for Local {
    async fn call(&self, number: u64) -> u64 {
        leaf().await; // @boxed
        number + u64::from(self.0)
    }
}

async fn takes_boxed(service: &impl Boxed) -> u64 {
    service.call(1).await // @takes_boxed
}

async fn takes_object(service: Box<dyn Boxed + Sync>) -> u64 {
    service.default().await // @takes_object
}

zoo!(
    async_trait_static,
    async { takes_boxed(&Local(1)).await }, // @static
    "{async block}@static(takes_boxed@takes_boxed({async block}@boxed(leaf@leaf(Pending))))"
);
zoo!(
    async_trait_object,
    takes_object(Box::new(Local(1))),
    "takes_object@takes_object({async block}@default({async block}@boxed(leaf@leaf(Pending))))"
);

struct Wrapper<T>(T);

impl<T: Clone> Wrapper<T> {
    async fn method(&self) -> T {
        leaf().await; // @method
        self.0.clone()
    }

    async fn consume(self) -> T {
        self.method().await // @consume
    }
}

zoo!(
    methods,
    Wrapper(vec![1]).consume(),
    "consume@consume(method@method(leaf@leaf(Pending)))"
);
