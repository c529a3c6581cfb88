//! Calls of unchanged sizes allocate nothing.

use ir::{DType, TensorType};
use llvm::{EmitOptions, emit_object};
use runtime::{AlignedBuffer, Executable, Image, InputRef, OutputMut};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use sym::{Expr, Sym};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ENTRIES: &str = "define i32 @prepare(ptr, ptr, ptr, ptr, ptr, ptr) {\n ret i32 0\n}
    define i32 @main(ptr, ptr %inputs, ptr %outputs, ptr, ptr, ptr) {\n %x = load ptr, ptr %inputs\n %y = load ptr, ptr %outputs
    %v = load i8, ptr %x\n store i8 %v, ptr %y\n ret i32 0\n}";

fn executable() -> Executable {
    let options = EmitOptions { cpu: "x86-64-v3".into(), features: String::new(), triple: "x86_64-unknown-linux-gnu".into() };
    let n = Expr::sym(&Sym::new("n"));
    let ty = TensorType::new(DType::U8, vec![n.clone()]);
    let image = Image {
        objects: vec![emit_object(ENTRIES, &options).unwrap()],
        main: "main".into(),
        prepare: "prepare".into(),
        symbols: vec![Sym::new("n")],
        inputs: vec![("x".into(), ty.clone())],
        outputs: vec![("y".into(), ty)],
        arena: arena::Arena::block(n * 64),
        ..Image::default()
    };
    Executable::load(image, 2).unwrap()
}

#[test]
fn second_call_allocates_nothing() {
    let mut executable = executable();
    let (mut x, mut y) = (AlignedBuffer::zeroed(4097).unwrap(), AlignedBuffer::zeroed(4097).unwrap());
    x.as_mut_slice().fill(5);
    for skip in [0, 1] {
        let mut counts = Vec::with_capacity(3);
        for _ in 0..3 {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            let input = InputRef { dtype: DType::U8, dims: &[4096], bytes: &x.as_slice()[skip..4096 + skip] };
            let output = OutputMut { dtype: DType::U8, dims: &[4096], bytes: &mut y.as_mut_slice()[skip..4096 + skip] };
            executable.run_into(&[input], &mut [output]).unwrap();
            counts.push(ALLOCATIONS.load(Ordering::Relaxed) - before);
        }
        assert!(counts[0] > 0 && counts[1..] == [0, 0], "{counts:?} with {skip} bytes skipped");
        assert_eq!(y.as_slice()[skip], 5);
    }
}
