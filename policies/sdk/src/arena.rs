//! How a module gets memory: by handing out one address after the other.
//!
//! The agent starts a module for each call and drops it with all its memory afterwards, and most
//! of what a call allocates is the batch, one small piece for each string. A general allocator
//! spends its time on keeping account of what will never be freed. This one keeps two numbers.
//!
//! Memory comes back only where the piece that was allocated last is freed first, as with a text
//! that is made for one candidate. A policy that builds large structures again and again in
//! `decide` instead of once in `new` can run into the agent's memory limit: a batch takes at
//! most a quarter of that.
//!
//! [`Bump`] decides, and is tested natively; the allocator around it exists in modules only.

/// Linear memory comes in pages of this many bytes.
const PAGE_BYTES: usize = 64 << 10;

/// Pages asked for at once: few enough for a small batch, many enough that growing is rare.
#[cfg(target_family = "wasm")]
const GROWTH_PAGES: usize = 16;

/// The free part of the memory: from `next` to `end`.
#[derive(Debug)]
struct Bump {
    next: usize,
    end: usize,
}

impl Bump {
    const fn new() -> Self {
        Self { next: 0, end: 0 }
    }

    /// The address of a new piece; none where it does not fit the free part. `align` is a power
    /// of two.
    fn place(&mut self, size: usize, align: usize) -> Option<usize> {
        let start = self.next.checked_add(align - 1)? & !(align - 1);
        let next = start.checked_add(size)?;
        (next <= self.end).then(|| {
            self.next = next;
            start
        })
    }

    /// Takes a piece back if it is the last one.
    fn free(&mut self, start: usize, size: usize) {
        if self.next == start + size {
            self.next = start;
        }
    }

    /// Whether a piece could be given another size where it is; if so it has it.
    fn resize(&mut self, start: usize, old_size: usize, new_size: usize) -> bool {
        let new_next = start.checked_add(new_size);
        match new_next {
            Some(next) if self.next == start + old_size && next <= self.end => {
                self.next = next;
                true
            }
            Some(_) | None => new_size <= old_size,
        }
    }

    /// Adds fresh memory, which is used from here on; what is left of the old part is lost
    /// unless the new part follows it.
    fn extend(&mut self, start: usize, pages: usize) {
        if start != self.end {
            self.next = start;
        }
        // The end of the last page of a full memory is no number of this width.
        self.end = start.saturating_add(pages.saturating_mul(PAGE_BYTES));
    }
}

#[cfg(target_family = "wasm")]
#[expect(unsafe_code, reason = "an allocator is an unsafe trait")]
mod global {
    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::cell::UnsafeCell;

    use super::{Bump, GROWTH_PAGES, PAGE_BYTES};

    struct Arena(UnsafeCell<Bump>);

    // SAFETY: the agent runs modules without threads.
    unsafe impl Sync for Arena {}

    #[global_allocator]
    static ARENA: Arena = Arena(UnsafeCell::new(Bump::new()));

    impl Arena {
        /// The one reference to the account; nothing that it is passed to allocates.
        fn with<T>(&self, work: impl FnOnce(&mut Bump) -> T) -> T {
            // SAFETY: there is one thread, and no `work` below calls the allocator.
            work(unsafe { &mut *self.0.get() })
        }
    }

    /// Grows the memory so that a piece of that size and alignment fits.
    fn grow(bump: &mut Bump, size: usize, align: usize) -> Option<()> {
        let needed = size.checked_add(align)?.div_ceil(PAGE_BYTES);
        let failed = usize::MAX;
        for pages in [needed.max(GROWTH_PAGES), needed] {
            if memory_grow::<0>(pages) != failed {
                bump.extend((memory_size::<0>() - pages) * PAGE_BYTES, pages);
                return Some(());
            }
        }
        None
    }

    // SAFETY: pieces lie in memory that this allocator alone grew, and do not overlap, because
    // `Bump` hands out each address once until it is freed.
    unsafe impl GlobalAlloc for Arena {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let (size, align) = (layout.size(), layout.align());
            self.with(|bump| {
                bump.place(size, align).or_else(|| {
                    grow(bump, size, align)?;
                    bump.place(size, align)
                })
            })
            .unwrap_or(0) as *mut u8
        }

        unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
            self.with(|bump| bump.free(piece as usize, layout.size()));
        }

        unsafe fn realloc(&self, piece: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
            if self.with(|bump| bump.resize(piece as usize, layout.size(), new_size)) {
                return piece;
            }
            // SAFETY: the caller promises that `new_size` with the old alignment is a layout.
            let new =
                unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
            if !new.is_null() {
                // SAFETY: both are at least as long as the old piece, which the new one does not
                // overlap.
                unsafe { core::ptr::copy_nonoverlapping(piece, new, layout.size()) };
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bump, PAGE_BYTES};

    fn one_page() -> Bump {
        let mut bump = Bump::new();
        bump.extend(PAGE_BYTES, 1);
        bump
    }

    #[test]
    fn nothing_fits_before_there_is_memory() {
        assert_eq!(Bump::new().place(1, 1), None);
    }

    #[test]
    fn pieces_are_aligned_and_do_not_overlap() {
        let mut bump = one_page();
        assert_eq!(bump.place(3, 1), Some(PAGE_BYTES));
        assert_eq!(bump.place(8, 8), Some(PAGE_BYTES + 8));
        assert_eq!(bump.place(1, 4), Some(PAGE_BYTES + 16));
    }

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let mut bump = one_page();
        assert_eq!(bump.place(PAGE_BYTES + 1, 1), None);
        assert_eq!(bump.place(usize::MAX, 1), None);
        assert_eq!(bump.place(PAGE_BYTES, 1), Some(PAGE_BYTES));
        assert_eq!(bump.place(1, 1), None);
    }

    #[test]
    fn the_last_piece_is_taken_back_and_grows_in_place() {
        let mut bump = one_page();
        let first = bump.place(16, 8).unwrap();
        let last = bump.place(16, 8).unwrap();
        assert!(bump.resize(last, 16, 32));
        bump.free(last, 32);
        assert_eq!(bump.place(8, 8), Some(last));
        // Not the last: it can shrink where it is, but not grow, and is not handed out again.
        assert!(bump.resize(first, 16, 8));
        assert!(!bump.resize(first, 8, 24));
        bump.free(first, 8);
        assert_eq!(bump.place(8, 8), Some(last + 8));
    }

    #[test]
    fn a_piece_does_not_grow_past_the_end() {
        let mut bump = one_page();
        let piece = bump.place(8, 8).unwrap();
        assert!(!bump.resize(piece, 8, PAGE_BYTES + 1));
        assert!(!bump.resize(piece, 8, usize::MAX));
        assert!(bump.resize(piece, 8, PAGE_BYTES));
    }

    #[test]
    fn memory_that_follows_is_joined_and_other_memory_replaces_it() {
        let mut bump = one_page();
        bump.extend(2 * PAGE_BYTES, 1);
        assert_eq!(bump.place(2 * PAGE_BYTES, 1), Some(PAGE_BYTES));
        bump.extend(9 * PAGE_BYTES, 1);
        assert_eq!(bump.place(1, 1), Some(9 * PAGE_BYTES));
    }
}
