//! A red-black tree with nodes in a vector, after the textbook: Cormen, Leiserson, Rivest, Stein, chapter 13.
//!
//! Node 0 is the sentinel that stands for every missing child, and for the parent of the root. It is black; while a node is
//! removed its parent is that of the place in question.

use super::{Timers, Value};

const NIL: usize = 0;
const LEFT: usize = 0;
const RIGHT: usize = 1;

/// The tree.
#[derive(Debug)]
pub(crate) struct RedBlack {
    nodes: Vec<Node>,
    root: usize,
    free: Vec<usize>,
    number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    /// Deadline, and a number that tells apart those who share it; 0 if the node is free.
    key: (u64, u64),
    children: [usize; 2],
    parent: usize,
    is_red: bool,
    value: Value,
}

impl RedBlack {
    fn child(&self, of: usize, side: usize) -> usize {
        self.nodes[of].children[side]
    }

    fn parent(&self, of: usize) -> usize {
        self.nodes[of].parent
    }

    fn is_red(&self, node: usize) -> bool {
        self.nodes[node].is_red
    }

    /// On which side of its parent a node is.
    fn side(&self, node: usize) -> usize {
        usize::from(self.child(self.parent(node), RIGHT) == node)
    }

    /// The first in order below `node`.
    fn first(&self, mut node: usize) -> usize {
        while self.child(node, LEFT) != NIL {
            node = self.child(node, LEFT);
        }
        node
    }

    /// Puts `new` where `old` is below its parent.
    fn replace(&mut self, old: usize, new: usize) {
        let parent = self.parent(old);
        match parent {
            NIL => self.root = new,
            _ => {
                let side = self.side(old);
                self.nodes[parent].children[side] = new;
            }
        }
        self.nodes[new].parent = parent;
    }

    /// Turns the edge from `top` to its child on the other side: that child comes up, and `top` goes down to `side`.
    fn rotate(&mut self, top: usize, side: usize) {
        let up = self.child(top, 1 - side);
        let middle = self.child(up, side);
        self.nodes[top].children[1 - side] = middle;
        if middle != NIL {
            self.nodes[middle].parent = top;
        }
        self.replace(top, up);
        self.nodes[up].children[side] = top;
        self.nodes[top].parent = up;
    }

    /// Adds a node, and mends two red ones in a row.
    fn link(&mut self, node: usize) {
        let (mut parent, mut at, mut side) = (NIL, self.root, LEFT);
        while at != NIL {
            parent = at;
            side = usize::from(self.nodes[node].key > self.nodes[at].key);
            at = self.child(at, side);
        }
        self.nodes[node].parent = parent;
        match parent {
            NIL => self.root = node,
            _ => self.nodes[parent].children[side] = node,
        }
        let mut node = node;
        while self.is_red(self.parent(node)) {
            let parent = self.parent(node);
            let (grand, side) = (self.parent(parent), self.side(parent));
            let uncle = self.child(grand, 1 - side);
            if self.is_red(uncle) {
                self.nodes[parent].is_red = false;
                self.nodes[uncle].is_red = false;
                self.nodes[grand].is_red = true;
                node = grand;
                continue;
            }
            if self.side(node) != side {
                node = parent;
                self.rotate(node, side);
            }
            let parent = self.parent(node);
            self.nodes[parent].is_red = false;
            self.nodes[grand].is_red = true;
            self.rotate(grand, 1 - side);
        }
        let root = self.root;
        self.nodes[root].is_red = false;
    }

    /// Takes a node out, and mends a path with one black node less.
    fn unlink(&mut self, node: usize) -> Value {
        let [left, right] = self.nodes[node].children;
        let (low, was_red);
        if left == NIL || right == NIL {
            low = if left == NIL { right } else { left };
            was_red = self.is_red(node);
            self.replace(node, low);
        } else {
            let next = self.first(right);
            was_red = self.is_red(next);
            low = self.child(next, RIGHT);
            if next == right {
                self.nodes[low].parent = next;
            } else {
                self.replace(next, low);
                self.nodes[next].children[RIGHT] = right;
                self.nodes[right].parent = next;
            }
            self.replace(node, next);
            self.nodes[next].children[LEFT] = left;
            self.nodes[left].parent = next;
            self.nodes[next].is_red = self.is_red(node);
        }
        if !was_red {
            self.mend(low);
        }
        self.nodes[node].key = (0, 0);
        self.free.push(node);
        self.nodes[node].value
    }

    /// The paths through `node` have one black node less than the others.
    fn mend(&mut self, mut node: usize) {
        while node != self.root && !self.is_red(node) {
            let parent = self.parent(node);
            let side = self.side(node);
            let mut other = self.child(parent, 1 - side);
            if self.is_red(other) {
                self.nodes[other].is_red = false;
                self.nodes[parent].is_red = true;
                self.rotate(parent, side);
                other = self.child(parent, 1 - side);
            }
            let [near, far] = [self.child(other, side), self.child(other, 1 - side)];
            if !self.is_red(near) && !self.is_red(far) {
                self.nodes[other].is_red = true;
                node = parent;
                continue;
            }
            if !self.is_red(far) {
                self.nodes[near].is_red = false;
                self.nodes[other].is_red = true;
                self.rotate(other, 1 - side);
                other = self.child(parent, 1 - side);
            }
            self.nodes[other].is_red = self.is_red(parent);
            self.nodes[parent].is_red = false;
            let far = self.child(other, 1 - side);
            self.nodes[far].is_red = false;
            self.rotate(parent, side);
            node = self.root;
        }
        self.nodes[node].is_red = false;
    }
}

impl Timers for RedBlack {
    type Key = (u64, usize);

    fn new() -> Self {
        let sentinel = Node {
            key: (0, 0),
            children: [NIL; 2],
            parent: NIL,
            is_red: false,
            value: [0; 2],
        };
        Self {
            nodes: vec![sentinel],
            root: NIL,
            free: Vec::new(),
            number: 0,
        }
    }

    fn insert(&mut self, deadline: u64, value: Value) -> (u64, usize) {
        self.number += 1;
        let new = Node {
            key: (deadline, self.number),
            children: [NIL; 2],
            parent: NIL,
            is_red: true,
            value,
        };
        let node = match self.free.pop() {
            Some(node) => {
                self.nodes[node] = new;
                node
            }
            None => {
                self.nodes.push(new);
                self.nodes.len() - 1
            }
        };
        self.link(node);
        (self.number, node)
    }

    fn cancel(&mut self, (number, node): (u64, usize)) -> Option<Value> {
        (self.nodes[node].key.1 == number).then(|| self.unlink(node))
    }

    fn expire_next(&mut self, now: u64) -> Option<Value> {
        let first = self.first(self.root);
        (first != NIL && self.nodes[first].key.0 <= now).then(|| self.unlink(first))
    }

    fn next_deadline(&mut self) -> Option<u64> {
        let first = self.first(self.root);
        (first != NIL).then(|| self.nodes[first].key.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Black nodes on any path below `node`; no red node has a red child.
    fn black_height(tree: &RedBlack, node: usize) -> u32 {
        if node == NIL {
            return 0;
        }
        let [left, right] = tree.nodes[node].children;
        assert!(!tree.is_red(node) || !tree.is_red(left) && !tree.is_red(right));
        let height = black_height(tree, left);
        assert_eq!(height, black_height(tree, right));
        height + u32::from(!tree.is_red(node))
    }

    #[test]
    fn it_stays_balanced() {
        let mut tree = RedBlack::new();
        let keys: Vec<_> = (0..1000)
            .map(|at| tree.insert(at * 7919 % 1000, [at, 0]))
            .collect();
        black_height(&tree, tree.root);
        for (at, key) in keys.into_iter().enumerate() {
            if at % 3 > 0 {
                assert!(tree.cancel(key).is_some());
                black_height(&tree, tree.root);
            }
        }
        while tree.expire_next(u64::MAX).is_some() {
            black_height(&tree, tree.root);
        }
        assert_eq!(tree.root, NIL);
    }
}
