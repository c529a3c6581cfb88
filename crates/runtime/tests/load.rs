//! Objects that LLVM emits, loaded and called.

use llvm::{EmitOptions, emit_all};
use runtime::{Code, LoadError};

type Unary = extern "C" fn(i64) -> i64;

fn load(texts: &[&str], externals: &[(&str, *const ())]) -> Result<Code, LoadError> {
    let options = EmitOptions { cpu: "x86-64-v3".into(), features: String::new(), triple: "x86_64-unknown-linux-gnu".into() };
    let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
    Code::load(&emit_all(&texts, &options, 1).unwrap(), externals)
}

fn unary(code: &Code, name: &str) -> Unary {
    // SAFETY: every test defines the function it names with this signature.
    unsafe { std::mem::transmute::<*const (), Unary>(code.symbol(name).unwrap()) }
}

fn check(texts: &[&str], externals: &[(&str, *const ())], expected: i64) {
    assert_eq!(unary(&load(texts, externals).unwrap(), "f")(5), expected);
}

#[test]
fn function_runs() {
    check(&["define i64 @f(i64 %x) {\n %y = mul i64 %x, 3\n ret i64 %y\n}"], &[], 15);
}

#[test]
fn objects_call_each_other_both_ways() {
    let first = "declare i64 @h(i64)\n define i64 @f(i64 %x) {\n %y = call i64 @h(i64 %x)\n %z = add i64 %y, 1\n ret i64 %z\n}
        define i64 @g(i64 %x) {\n ret i64 %x\n}";
    let second = "declare i64 @g(i64)\n define i64 @h(i64 %x) {\n %y = call i64 @g(i64 %x)\n %z = mul i64 %y, 10\n ret i64 %z\n}";
    check(&[first, second], &[], 51);
    check(&[second, first], &[], 51);
}

#[test]
fn private_constants_of_each_object_are_its_own() {
    let table = |name: &str, start: i64| {
        let values: Vec<String> = (0..8).map(|i| format!("i64 {}", start + i)).collect();
        format!(
            "@table = private constant [8 x i64] [{}]\ndefine i64 @{name}(i64 %x) {{
                %p = getelementptr i64, ptr @table, i64 %x\n %v = load i64, ptr %p\n ret i64 %v\n}}",
            values.join(", ")
        )
    };
    let code = load(&[&table("f", 100), &table("g", 200)], &[]).unwrap();
    assert_eq!((unary(&code, "f")(5), unary(&code, "g")(7)), (105, 207));
}

#[test]
fn vector_constants_and_jump_tables() {
    let vector = "define i64 @f(i64 %x) {\n %v = insertelement <4 x i64> <i64 1, i64 2, i64 3, i64 4>, i64 %x, i64 0
        %w = mul <4 x i64> %v, <i64 7, i64 11, i64 13, i64 17>\n %s = call i64 @llvm.vector.reduce.add.v4i64(<4 x i64> %w)\n ret i64 %s\n}
        declare i64 @llvm.vector.reduce.add.v4i64(<4 x i64>)";
    check(&[vector], &[], 35 + 22 + 39 + 68);
    let arms: String = (0..6).map(|i| format!("a{i}:\n call void @seen(i64 {i})\n ret i64 {}\n", i * i * i)).collect();
    let cases: String = (0..6).map(|i| format!("i64 {i}, label %a{i} ")).collect();
    let switch =
        format!("declare void @seen(i64)\ndefine i64 @f(i64 %x) {{\n switch i64 %x, label %no [ {cases} ]\n{arms}no:\n ret i64 -1\n}}");
    extern "C" fn seen(_: i64) {}
    check(&[&switch], &[("seen", seen as *const ())], 125);
}

#[test]
fn constants_of_another_object_are_reached_through_a_slot() {
    let user = "@k = external constant i64\ndefine i64 @f(i64 %x) {\n %k = load i64, ptr @k\n %y = mul i64 %x, %k\n ret i64 %y\n}";
    check(&[user, "@k = constant i64 9"], &[], 45);
}

#[test]
fn table_of_addresses() {
    let text = "define i64 @g(i64 %x) {\n %y = add i64 %x, 2\n ret i64 %y\n}
        @table = constant [2 x ptr] [ptr @f, ptr @g]
        define i64 @f(i64 %x) {\n %p = getelementptr ptr, ptr @table, i64 1\n %q = load volatile ptr, ptr %p\n %y = call i64 %q(i64 %x)\n ret i64 %y\n}";
    check(&[text], &[], 7);
}

#[test]
fn distances_of_64_bits() {
    let text = "@d = private constant i64 sub (i64 ptrtoint (ptr @g to i64), i64 ptrtoint (ptr @d to i64))
        define i64 @g(i64 %x) {\n %y = add i64 %x, 40\n ret i64 %y\n}
        define i64 @f(i64 %x) {\n %d = load volatile i64, ptr @d\n %a = ptrtoint ptr @d to i64\n %b = add i64 %a, %d\n %p = inttoptr i64 %b to ptr
            %y = call i64 %p(i64 %x)\n ret i64 %y\n}";
    check(&[text], &[], 45);
}

extern "C" fn double(x: i64) -> i64 {
    2 * x
}

#[test]
fn externals_are_called_and_their_address_is_taken() {
    let call =
        "declare i64 @double(i64)\ndefine i64 @f(i64 %x) {\n %y = call i64 @double(i64 %x)\n %z = call i64 @double(i64 %y)\n ret i64 %z\n}";
    check(&[call], &[("double", double as *const ())], 20);
    let address = "declare i64 @double(i64)\ndefine i64 @f(i64 %x) {\n %r = ptrtoint ptr @double to i64\n ret i64 %r\n}";
    check(&[address], &[("double", double as *const ())], double as *const () as i64);
}

#[test]
fn memory_functions_need_no_table() {
    let text = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\ndeclare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
        declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)\n declare void @bzero(ptr, i64)
        define i64 @f(i64 %x) {\n %a = alloca [999 x i8]\n %b = alloca [999 x i8]\n %n = add i64 %x, 900
            call void @bzero(ptr %b, i64 %n)\n call void @llvm.memset.p0.i64(ptr %a, i8 3, i64 %n, i1 false)
            call void @llvm.memcpy.p0.p0.i64(ptr %b, ptr %a, i64 %n, i1 false)\n %c = getelementptr i8, ptr %b, i64 1
            call void @llvm.memmove.p0.p0.i64(ptr %c, ptr %b, i64 %n, i1 false)\n %v = load i64, ptr %c, align 1\n ret i64 %v\n}";
    check(&[text], &[], 0x0303_0303_0303_0303);
}

#[test]
fn strong_definition_replaces_a_weak_one() {
    let weak = "define weak i64 @g(i64 %x) {\n ret i64 1\n}\ndefine i64 @f(i64 %x) {\n %y = call i64 @g(i64 %x)\n ret i64 %y\n}";
    check(&[weak], &[], 1);
    check(&[weak, "define i64 @g(i64 %x) {\n ret i64 2\n}"], &[], 2);
}

#[test]
fn many_objects() {
    let texts: Vec<String> = (0..300)
        .map(|i| {
            format!(
                "declare i64 @f{}(i64)\ndefine i64 @f{i}(i64 %x) {{\n %y = add i64 %x, {i}\n %z = call i64 @f{0}(i64 %y)\n ret i64 %z\n}}",
                i + 1
            )
        })
        .collect();
    let mut texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    texts.push("define i64 @f300(i64 %x) {\n ret i64 %x\n}");
    let code = load(&texts, &[]).unwrap();
    assert_eq!(unary(&code, "f0")(1), 1 + 299 * 300 / 2);
}

#[test]
fn code_moves_with_its_owner_and_lists_its_functions() {
    let code =
        load(&["define i64 @f(i64 %x) {\n ret i64 %x\n}\ndefine internal i64 @own(i64 %x) noinline {\n ret i64 %x\n}"], &[]).unwrap();
    let before = code.symbol("f");
    let code = Box::new(code);
    assert_eq!(code.symbol("f"), before);
    assert_eq!(code.symbol("own"), None);
    assert!(code.code_bytes() > 0);
    let mut map = Vec::new();
    code.write_perf_map(&mut map).unwrap();
    let map = String::from_utf8(map).unwrap();
    assert!(map.contains(&format!("{:x} 4 f\n", before.unwrap() as usize)), "{map}");
    assert!(map.contains(" own\n"), "{map}");
}

#[test]
fn pages_are_never_writable_and_executable() {
    let code = load(&["@t = constant [4 x i64] [i64 1, i64 2, i64 3, i64 4]\ndefine i64 @f(i64 %x) {\n ret i64 %x\n}"], &[]).unwrap();
    let access = |name: &str| {
        let address = code.symbol(name).unwrap() as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let holds = |line: &&str| {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            (usize::from_str_radix(start, 16).unwrap()..usize::from_str_radix(end, 16).unwrap()).contains(&address)
        };
        maps.lines().find(holds).unwrap().split(' ').nth(1).unwrap().to_string()
    };
    assert_eq!((access("f").as_str(), access("t").as_str()), ("r-xp", "r--p"));
}

#[test]
fn nothing_to_load() {
    let code = Code::load(&[], &[]).unwrap();
    assert_eq!((code.code_bytes(), code.symbol("f")), (0, None));
}

fn check_error(texts: &[&str], expected: &str) {
    assert_eq!(load(texts, &[]).unwrap_err().to_string(), expected);
}

#[test]
fn errors_name_object_and_symbol() {
    let f = "define i64 @f(i64 %x) {\n ret i64 %x\n}";
    check_error(&[f, "@state = global i64 5"], "object 1: section `.data` is writable; code keeps no data of its own");
    check_error(&["@state = global i64 0"], "object 0: section `.bss` is writable; code keeps no data of its own");
    check_error(&["@state = thread_local global i64 1"], "object 0: section `.tdata` is writable; code keeps no data of its own");
    check_error(&[f, f], "object 1: symbol `f` is defined in object 0 already");
    check_error(
        &["declare i64 @g(i64)\ndefine i64 @f(i64 %x) {\n %y = call i64 @g(i64 %x)\n ret i64 %y\n}"],
        "object 0: symbol `g` is neither in the objects nor among the externals",
    );
    check_error(
        &["module asm \".text; .long f\"\n define i64 @f(i64 %x) {\n ret i64 %x\n}"],
        "object 0: relocation of type 10 to `f` is not supported",
    );
    check_error(
        &["module asm \".text; movq $f, %rax\"\n define i64 @f(i64 %x) {\n ret i64 %x\n}"],
        "object 0: relocation of type 11 to `f` is not supported",
    );
    check_error(
        &["declare dso_local void @memcpy()\ndefine ptr @f() {\n ret ptr @memcpy\n}"],
        "object 0: `memcpy` lies outside, yet is referred to as near; declare it without dso_local",
    );
    check_error(&["module asm \".text; .p2align 16; nop\""], "object 0: section `.text` wants alignment 65536, at most 4096 is given");
    check_error(&["module asm \".comm shared,8; .text; .quad shared\""], "object 0: symbol `shared` lies in no loaded section");
}

#[test]
fn bytes_that_are_no_object_are_errors() {
    assert!(matches!(Code::load(&[b"what".to_vec()], &[]), Err(LoadError::Malformed { object: 0, .. })));
    let this = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(matches!(Code::load(&[this], &[]), Err(LoadError::WrongKind { object: 0 })));
}

#[test]
fn damaged_objects_never_crash_the_loader() {
    let options = EmitOptions { cpu: "x86-64-v3".into(), features: String::new(), triple: "x86_64-unknown-linux-gnu".into() };
    let text =
        "@k = constant [2 x ptr] [ptr @f, ptr @g]\ndeclare i64 @g(i64)\ndefine i64 @f(i64 %x) {\n %y = call i64 @g(i64 %x)\n ret i64 %y\n}";
    let object = llvm::emit_object(text, &options).unwrap();
    for at in 0..object.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut damaged = object.clone();
            damaged[at] = value;
            let _ = Code::load(&[damaged], &[("g", double as *const ())]);
        }
        let _ = Code::load(&[object[..at].to_vec()], &[]);
    }
}
