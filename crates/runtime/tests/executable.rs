//! Images with hand-written entries: loading, calls, sizes, errors and profiles.

use ir::graph::SymbolFact;
use ir::guard::Condition;
use ir::{DType, Guard, Location, Tensor, TensorType};
use llvm::{EmitOptions, emit_object};
use runtime::{AlignedBuffer, Executable, Image, InputRef, OutputMut, RunError};
use std::sync::Arc;
use sym::{Expr, Sym};

/// `prepare`: prepared[0] = constants[0][1]. `main`: y[i] = x[i] + prepared[0] by a kernel of n tasks with scratch, through the arena;
/// check 4 of step 1 fails where x[0] is negative, guard 0 where it is above 1000; code 1, which nobody may return, where a pointer is
/// not aligned.
const ENTRIES: &str = r#"
define i32 @kernel(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
  %x_slot = load i64, ptr %args
  %x = inttoptr i64 %x_slot to ptr
  %y_at = getelementptr i64, ptr %args, i64 1
  %y_slot = load i64, ptr %y_at
  %y = inttoptr i64 %y_slot to ptr
  %w_at = getelementptr i64, ptr %args, i64 2
  %w_slot = load i64, ptr %w_at
  %w = inttoptr i64 %w_slot to ptr
  %v = load float, ptr %w
  br label %loop
loop:
  %i = phi i64 [ %begin, %0 ], [ %next, %loop ]
  %from = getelementptr float, ptr %x, i64 %i
  %a = load float, ptr %from
  %sum = fadd float %a, %v
  store float %sum, ptr %scratch
  %to = getelementptr float, ptr %y, i64 %i
  store float %sum, ptr %to
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}

define i32 @prepare(ptr %context, ptr %inputs, ptr %outputs, ptr %dims, ptr %arena, ptr %parallel_for) {
  %constants = load ptr, ptr %context
  %constant = load ptr, ptr %constants
  %second = getelementptr float, ptr %constant, i64 1
  %value = load float, ptr %second
  %prepared_at = getelementptr i64, ptr %context, i64 1
  %prepared = load ptr, ptr %prepared_at
  store float %value, ptr %prepared
  ret i32 0
}

define i32 @main(ptr %context, ptr %inputs, ptr %outputs, ptr %dims, ptr %arena, ptr %parallel_for) {
  %x = load ptr, ptr %inputs
  %y = load ptr, ptr %outputs
  %n = load i64, ptr %dims
  %x_bits = ptrtoint ptr %x to i64
  %y_bits = ptrtoint ptr %y to i64
  %arena_bits = ptrtoint ptr %arena to i64
  %or = or i64 %x_bits, %y_bits
  %all = or i64 %or, %arena_bits
  %low = and i64 %all, 63
  %odd = icmp ne i64 %low, 0
  br i1 %odd, label %misplaced, label %first
misplaced:
  ret i32 1
first:
  %first_x = load float, ptr %x
  %negative = fcmp olt float %first_x, 0.0
  br i1 %negative, label %outside, label %second
outside:
  ret i32 131077
second:
  %large = fcmp ogt float %first_x, 1.0e3
  br i1 %large, label %guard, label %third
guard:
  ret i32 -1
third:
  %clock_at = getelementptr i64, ptr %context, i64 5
  %clock = load ptr, ptr %clock_at
  %before = call i64 %clock()
  %prepared_at = getelementptr i64, ptr %context, i64 1
  %prepared = load ptr, ptr %prepared_at
  %prepared_bits = ptrtoint ptr %prepared to i64
  %pool_at = getelementptr i64, ptr %context, i64 2
  %pool = load ptr, ptr %pool_at
  store i64 %x_bits, ptr %arena
  %arg1 = getelementptr i64, ptr %arena, i64 1
  store i64 %y_bits, ptr %arg1
  %arg2 = getelementptr i64, ptr %arena, i64 2
  store i64 %prepared_bits, ptr %arg2
  %code = call i32 %parallel_for(ptr %pool, ptr @kernel, ptr %arena, i64 %n, i64 1, i64 64)
  %after = call i64 %clock()
  %time = sub i64 %after, %before
  %profile_at = getelementptr i64, ptr %context, i64 4
  %profile = load ptr, ptr %profile_at
  %time_at = getelementptr i64, ptr %profile, i64 1
  %old_time = load i64, ptr %time_at
  %new_time = add i64 %old_time, %time
  store i64 %new_time, ptr %time_at
  ret i32 %code
}
"#;

fn floats(values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(DType::F32, vec![values.len()], Arc::new(bytes)).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.bytes().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn image() -> Image {
    let options = EmitOptions { cpu: "x86-64-v3".into(), features: String::new(), triple: "x86_64-unknown-linux-gnu".into() };
    let n = Expr::sym(&Sym::new("n"));
    let ty = TensorType::new(DType::F32, vec![n.clone()]);
    Image {
        objects: vec![emit_object(ENTRIES, &options).unwrap()],
        main: "main".into(),
        prepare: "prepare".into(),
        symbols: vec![Sym::new("n")],
        symbol_facts: [(Sym::new("n"), SymbolFact { low: 1, high: 1 << 40 })].into(),
        computed: Default::default(),
        host_calls: vec![],
        texts: Default::default(),
        guards: vec![Guard { condition: Condition::AtLeast(Expr::from(5000), n.clone()), location: Location::of("/limit") }],
        step_guards: vec![],
        values: vec![],
        inputs: vec![("x".into(), ty.clone())],
        outputs: vec![("y".into(), ty)],
        constants: vec![floats(&[1.0, 0.5])],
        prepared_bytes: Expr::from(64),
        arena: arena::Arena::block(n.clone() * 64),
        scratch_bytes: Expr::from(64),
        steps: vec!["/weights".into(), "/add".into()],
        prepare_steps: 1,
        profiled: true,
    }
}

fn message(result: Result<Vec<Tensor>, RunError>) -> (String, i32) {
    let error = result.unwrap_err();
    (error.to_string(), error.exit_code())
}

#[test]
fn calls_of_any_size() {
    for threads in [1, 3] {
        let mut executable = Executable::load(image(), threads).unwrap();
        for count in [1, 7, 1000, 3] {
            let x: Vec<f32> = (0..count).map(|i| i as f32).collect();
            let y = executable.run(&[floats(&x)]).unwrap();
            assert_eq!(y[0].dims(), [count]);
            assert_eq!(values(&y[0]), x.iter().map(|x| x + 0.5).collect::<Vec<_>>());
        }
        let times = executable.profile().unwrap();
        assert_eq!((times[0].calls, times[1].calls, times[1].label.as_str()), (1, 4, "/add"));
        assert!(times[0].nanoseconds == 0 && times[1].nanoseconds > 0);
        assert_eq!(executable.arena_bytes(&[10]), Some(640));
    }
}

#[test]
fn memory_of_the_caller_may_lie_anywhere() {
    let mut executable = Executable::load(image(), 2).unwrap();
    let x = AlignedBuffer::copy_of(&[floats(&[9.0, 1.0, 2.0, 3.0]).bytes(), &[0; 16]].concat()).unwrap();
    for at in [0, 4, 8] {
        let mut y = AlignedBuffer::zeroed(64).unwrap();
        let input = InputRef { dtype: DType::F32, dims: &[2], bytes: &x.as_slice()[at..at + 8] };
        let output = OutputMut { dtype: DType::F32, dims: &[2], bytes: &mut y.as_mut_slice()[at..at + 8] };
        executable.run_into(&[input], &mut [output]).unwrap();
        let all = Tensor::new(DType::F32, vec![16], Arc::new(y)).unwrap();
        let wanted: Vec<f32> = values(&floats(&[9.0, 1.0, 2.0, 3.0]))[at / 4..at / 4 + 2].iter().map(|x| x + 0.5).collect();
        assert_eq!(&values(&all)[at / 4..at / 4 + 2], wanted);
        assert!(values(&all).iter().enumerate().all(|(i, y)| (at / 4..at / 4 + 2).contains(&i) || *y == 0.0));
    }
}

#[test]
fn outputs_must_fit() {
    let mut executable = Executable::load(image(), 1).unwrap();
    let (x, mut y) = (floats(&[1.0, 2.0]), [0; 12]);
    let output = OutputMut { dtype: DType::F32, dims: &[3], bytes: &mut y };
    let error = executable.run_into(&[InputRef::from(&x)], &mut [output]).unwrap_err();
    assert_eq!(error.to_string(), "[E009] y: it is f32[2], not f32[3]");
}

#[test]
fn faults_of_the_caller_are_told_apart() {
    let mut executable = Executable::load(image(), 1).unwrap();
    let ints = Tensor::new(DType::I32, vec![2, 1], Arc::new(vec![0; 8])).unwrap();
    let both = "[E009] x: its type is i32, not f32\n[E009] x: its shape is [2, 1] but the model takes f32[n]";
    assert_eq!(message(executable.run(&[ints])), (both.to_string(), 2));
    let outside = "[E010] /add: an index read from data is outside of the tensor it points into";
    assert_eq!(message(executable.run(&[floats(&[-1.0])])), (outside.to_string(), 2));
    assert_eq!(message(executable.run(&[floats(&[1e4])])), ("[E009] /limit: 5000 >= n does not hold".to_string(), 2));
    assert_eq!(message(executable.run(&[floats(&[0.0; 5001])])), ("[E009] /limit: 5000 is less than n = 5001".to_string(), 2));
    assert!(executable.run(&[floats(&[1.0])]).is_ok());
}

#[test]
fn memory_has_a_limit() {
    let mut executable = Executable::load_within(image(), 1, 100_000).unwrap();
    assert!(executable.run(&[floats(&[0.0; 1000])]).is_ok());
    let (text, exit_code) = message(executable.run(&[floats(&[0.0; 4000])]));
    assert_eq!((text.as_str(), exit_code), ("[E008] model: a call with n = 4000 needs 265 KiB of memory; 97 KiB are allowed", 3));
    assert!(executable.run(&[floats(&[0.0; 10])]).is_ok());
    assert!(Executable::load_within(image(), 1, 32).is_err());
}
