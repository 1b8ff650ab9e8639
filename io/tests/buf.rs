//! Buffers against a plain model: any slice of a slice of a slice, read into at every level, leaves
//! in the buffer what overwriting the same bytes of a `Vec` leaves there.

use std::ops::Range;

use camshaft_io::buf::{AlignedBuf, IoBuf, IoBufMut};
use proptest::prelude::*;

/// What a buffer should hold: its initialised bytes, and the storage's length.
#[derive(Clone, Debug)]
struct Model {
    bytes: Vec<u8>,
    total: usize,
}

impl Model {
    /// Reads `input` into a window of the storage, and returns how many bytes it takes.
    fn fill(&mut self, window: &Range<usize>, input: &[u8]) -> usize {
        let n = window.len().min(input.len());
        let end = window.start + n;
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[window.start..end].copy_from_slice(&input[..n]);
        n
    }

    /// The initialised bytes of a window.
    fn shown(&self, window: &Range<usize>) -> &[u8] {
        &self.bytes[window.start..window.end.min(self.bytes.len())]
    }

    /// Narrows a window by two numbers, to one that the rules allow, counted from its start.
    fn narrow(&self, window: &Range<usize>, cut: (usize, usize)) -> Range<usize> {
        let begin = cut.0 % (self.shown(window).len() + 1);
        let end = begin + cut.1 % (window.len() - begin + 1);
        begin..end
    }
}

fn within(outer: &Range<usize>, inner: &Range<usize>) -> Range<usize> {
    outer.start + inner.start..outer.start + inner.end
}

/// Reads as the kernel does: takes the room, moves the buffer, writes, and only then commits.
fn read<B: IoBufMut>(mut buf: B, input: &[u8]) -> (usize, B) {
    let room = buf.room();
    let n = room.len().min(input.len());
    let mut moved = Box::new(buf);
    let target = room.cast::<u8>().as_ptr();
    // SAFETY: the room has `n` bytes, and stays where it is when the buffer moves.
    unsafe { target.copy_from_nonoverlapping(input.as_ptr(), n) };
    // SAFETY: the first `n` bytes of the room have been written.
    unsafe { moved.commit(n) };
    (n, *moved)
}

/// One step at one level: a read by the kernel or from memory, checked against the model.
fn step<B: IoBufMut>(
    buf: B,
    model: &mut Model,
    window: &Range<usize>,
    input: &[u8],
) -> Result<B, TestCaseError> {
    let half = input.len() / 2;
    let (n, mut buf) = read(buf, &input[..half]);
    prop_assert_eq!(n, model.fill(window, &input[..half]));
    prop_assert_eq!(buf.as_slice(), model.shown(window));
    prop_assert_eq!(
        buf.fill_from(&input[half..]),
        model.fill(window, &input[half..])
    );
    prop_assert_eq!(buf.as_slice(), model.shown(window));
    prop_assert_eq!(buf.total_len(), window.len());
    Ok(buf)
}

type Cuts = [(usize, usize); 3];

/// Slices three levels deep, reading at each on the way in and on the way out.
fn check<B: IoBufMut>(buf: B, cuts: Cuts, inputs: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let mut model = Model {
        bytes: buf.as_slice().to_vec(),
        total: buf.total_len(),
    };
    let whole = 0..model.total;

    let cut = model.narrow(&whole, cuts[0]);
    let (buf, one) = (buf.slice(cut.clone()), within(&whole, &cut));
    let buf = step(buf, &mut model, &one, &inputs[0])?;

    let cut = model.narrow(&one, cuts[1]);
    let (buf, two) = (buf.slice(cut.clone()), within(&one, &cut));
    let buf = step(buf, &mut model, &two, &inputs[1])?;

    let cut = model.narrow(&two, cuts[2]);
    let (buf, three) = (buf.slice(cut.clone()), within(&two, &cut));
    let buf = step(buf, &mut model, &three, &inputs[2])?;

    let buf = step(buf.into_inner(), &mut model, &two, &inputs[3])?;
    let buf = step(buf.into_inner(), &mut model, &one, &inputs[4])?;
    let buf = buf.into_inner();
    prop_assert_eq!(buf.as_slice(), &model.bytes[..]);
    prop_assert_eq!(buf.total_len(), model.total);
    Ok(())
}

fn inputs() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 20 } else { 1000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn slices_of_a_vector(
        bytes in prop::collection::vec(any::<u8>(), 0..24),
        spare in 0..24_usize,
        cuts: Cuts,
        inputs in inputs(),
    ) {
        let mut buf = Vec::with_capacity(bytes.len() + spare);
        buf.extend_from_slice(&bytes);
        check(buf, cuts, &inputs)?;
    }

    #[test]
    fn slices_of_a_box(
        bytes in prop::collection::vec(any::<u8>(), 0..48),
        cuts: Cuts,
        inputs in inputs(),
    ) {
        check(bytes.into_boxed_slice(), cuts, &inputs)?;
    }

    #[test]
    fn slices_of_an_aligned_buffer(
        bytes in prop::collection::vec(any::<u8>(), 0..48),
        cuts: Cuts,
        inputs in inputs(),
    ) {
        let mut buf = AlignedBuf::zeroed(bytes.len());
        buf.copy_from_slice(&bytes);
        check(buf, cuts, &inputs)?;
    }

    /// A vector is filled as by `extend_from_slice`, as far as its capacity goes.
    #[test]
    fn appending_to_a_vector(spare in 0..64_usize, inputs in inputs()) {
        let mut buf = Vec::with_capacity(spare);
        let (start, total) = (buf.as_ptr(), buf.capacity());
        let mut model = Vec::new();
        for input in &inputs {
            let fits = &input[..input.len().min(total - model.len())];
            model.extend_from_slice(fits);
            let (n, filled) = read(buf, input);
            buf = filled;
            prop_assert_eq!(n, fits.len());
            prop_assert_eq!(&buf, &model);
        }
        prop_assert_eq!((buf.as_ptr(), buf.capacity()), (start, total));
    }
}

#[cfg(feature = "bytes")]
proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 20 } else { 1000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The buffer is the back half of a larger one, whose front half must not change.
    #[test]
    fn slices_of_bytes_mut(
        bytes in prop::collection::vec(any::<u8>(), 8..24),
        spare in 0..24_usize,
        cuts: Cuts,
        inputs in inputs(),
    ) {
        let mut front = bytes::BytesMut::with_capacity(bytes.len() + spare);
        front.extend_from_slice(&bytes);
        let back = front.split_off(8);
        check(back, cuts, &inputs)?;
        prop_assert_eq!(&front[..], &bytes[..8]);
    }
}
