//! A list of pieces of memory as the kernel takes it, which goes on where a short transfer ended.

/// A list for the kernel, and how far it has come.
pub(super) struct List {
    vectors: Vec<libc::iovec>,
    /// Those before are done.
    at: usize,
    pub(super) left: usize,
}

impl List {
    pub(super) fn new(vectors: Vec<libc::iovec>) -> Self {
        let lengths = vectors.iter().map(|vector| vector.iov_len);
        Self {
            left: lengths.fold(0, usize::saturating_add),
            vectors,
            at: 0,
        }
    }

    pub(super) fn rest(&self) -> &[libc::iovec] {
        &self.vectors[self.at..]
    }

    /// At most `UIO_MAXIOV`, as the lists are made.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.rest().len()).unwrap_or(u32::MAX)
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.left -= n;
        let mut n = n;
        while n > 0 {
            let vector = &mut self.vectors[self.at];
            let here = n.min(vector.iov_len);
            vector.iov_base = vector.iov_base.wrapping_byte_add(here);
            vector.iov_len -= here;
            n -= here;
            self.at += usize::from(vector.iov_len == 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::vectored;

    fn lengths(list: &List) -> Vec<usize> {
        list.rest().iter().map(|vector| vector.iov_len).collect()
    }

    #[test]
    fn a_list_goes_on_where_it_was() {
        let bufs = ["abc", "", "de", "fghi"];
        let mut list = List::new(vectored::sources(&bufs));
        for (n, expected) in [
            (0, &[3, 2, 4][..]),
            (2, &[1, 2, 4]),
            (1, &[2, 4]),
            (3, &[3]),
            (3, &[]),
        ] {
            list.advance(n);
            assert_eq!(lengths(&list), expected);
            assert_eq!(list.left, expected.iter().sum::<usize>());
        }
        assert_eq!(list.count(), 0);
    }
}
