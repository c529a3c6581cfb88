//! Addresses, and loads and stores of consecutive elements.
//!
//! The constant part of an index is added to the address last, so that accesses a constant apart share one pointer.

use super::function::{Function, Made};
use super::text::{element_type, splat, suffix, widened};
use ir::DType;
use kernel::{BufferId, Op, Space, Stmt, Ty, ValueId};
use sym::Expr;

/// An access of `ty.lanes` elements of a buffer from `index` on; how far apart they are is said beside it.
pub struct Access<'a> {
    pub buffer: BufferId,
    pub index: &'a Expr,
    pub mask: Option<ValueId>,
    pub ty: Ty,
}

impl Function<'_> {
    /// The result of one of the loading ops.
    pub fn load(&mut self, ty: Ty, op: &Op) -> Made {
        let access = |buffer: &BufferId, index, mask: &Option<ValueId>| Access { buffer: *buffer, index, mask: *mask, ty };
        let loaded = match op {
            Op::Load { buffer, index, mask } => self.load_dense(&access(buffer, index, mask)),
            Op::LoadStrided { buffer, index, stride, mask } => self.load_strided(&access(buffer, index, mask), stride),
            Op::Gather { buffer, index, offsets, mask } => self.gather(&access(buffer, index, mask), *offsets),
            other => panic!("not a load: {other:?}"),
        };
        match ty.dtype {
            DType::Bool => {
                let bytes = self.operand(loaded);
                Made::Instruction(self.truth_of(&bytes, ty.lanes))
            }
            _ => loaded,
        }
    }

    /// The Bools that bytes in memory stand for.
    pub fn truth_of(&self, bytes: &str, lanes: u32) -> String {
        format!("icmp ne {} {bytes}, {}", widened("i8", lanes), splat("i8", lanes, "0"))
    }

    pub fn store(&mut self, stmt: &Stmt) {
        let Stmt::Store { buffer, index, stride, value, mask } = stmt else { panic!("not a store: {stmt:?}") };
        let access = Access { buffer: *buffer, index, mask: *mask, ty: self.ty(*value) };
        let stored = match access.ty.dtype {
            DType::Bool => self.code.temp(format!("zext {} to {}", self.typed(*value), widened("i8", access.ty.lanes))),
            _ => self.value(*value),
        };
        match stride {
            None => self.store_dense(&access, &stored),
            Some(stride) => self.store_strided(&access, stride, &stored),
        }
    }

    pub fn load_dense(&mut self, access: &Access) -> Made {
        let address = self.address(access.buffer, access.index);
        self.load_at(access, &address)
    }

    pub fn load_at(&mut self, access: &Access, address: &str) -> Made {
        match access.mask {
            Some(mask) => self.masked_load(access, address, mask),
            None => Made::Instruction(self.plain_load(access.buffer, address, access.ty.lanes)),
        }
    }

    pub fn plain_load(&self, buffer: BufferId, address: &str, lanes: u32) -> String {
        let (element, align, alias) = (self.element(buffer), self.align(buffer), self.alias(buffer));
        format!("load {}, ptr {address}, align {align}{alias}", widened(element, lanes))
    }

    fn masked_load(&mut self, access: &Access, address: &str, mask: ValueId) -> Made {
        let (element, align, lanes) = (self.element(access.buffer), self.align(access.buffer), access.ty.lanes);
        let mask = self.mask(Some(mask), lanes);
        let (name, alias) = (vector_suffix(element, lanes), self.alias(access.buffer));
        let ty = format!("<{lanes} x {element}>");
        let call = format!("call {ty} @llvm.masked.load.{name}.p0(ptr {address}, i32 {align}, {mask}, {ty} zeroinitializer){alias}");
        if lanes != 1 {
            return Made::Instruction(call);
        }
        let one = self.code.temp(call);
        Made::Instruction(format!("extractelement <1 x {element}> {one}, i64 0"))
    }

    /// The mask as a vector, with its type; all lanes where there is none.
    pub fn mask(&mut self, mask: Option<ValueId>, lanes: u32) -> String {
        match mask {
            None => format!("<{lanes} x i1> splat (i1 true)"),
            Some(mask) if lanes == 1 => {
                let mask = self.value(mask);
                format!("<1 x i1> {}", self.code.temp(format!("insertelement <1 x i1> poison, i1 {mask}, i64 0")))
            }
            Some(mask) => self.typed(mask),
        }
    }

    pub fn store_dense(&mut self, access: &Access, stored: &str) {
        let address = self.address(access.buffer, access.index);
        match access.mask {
            Some(mask) => self.masked_store(access, stored, &address, mask),
            None => self.plain_store(access.buffer, stored, &address, access.ty.lanes),
        }
    }

    pub fn plain_store(&mut self, buffer: BufferId, stored: &str, address: &str, lanes: u32) {
        let (element, align, alias) = (self.element(buffer), self.align(buffer), self.alias(buffer));
        self.code.line(&format!("store {} {stored}, ptr {address}, align {align}{alias}", widened(element, lanes)));
    }

    fn masked_store(&mut self, access: &Access, stored: &str, address: &str, mask: ValueId) {
        let (element, align, lanes) = (self.element(access.buffer), self.align(access.buffer), access.ty.lanes);
        let stored = match lanes {
            1 => self.code.temp(format!("insertelement <1 x {element}> poison, {element} {stored}, i64 0")),
            _ => stored.to_string(),
        };
        let mask = self.mask(Some(mask), lanes);
        let (name, alias) = (vector_suffix(element, lanes), self.alias(access.buffer));
        let value = format!("<{lanes} x {element}> {stored}");
        self.code.line(&format!("call void @llvm.masked.store.{name}.p0({value}, ptr {address}, i32 {align}, {mask}){alias}"));
    }

    pub fn element(&self, buffer: BufferId) -> &'static str {
        element_type(self.kernel.buffer(buffer).dtype)
    }

    /// Inputs may be constants in a mapped file, which lie as the file has them.
    pub fn align(&self, buffer: BufferId) -> usize {
        let buffer = self.kernel.buffer(buffer);
        if buffer.space == Space::Input && !self.options.aligned { 1 } else { buffer.dtype.size() }
    }

    /// The address of an element.
    pub fn address(&mut self, buffer: BufferId, index: &Expr) -> String {
        let constant = index.constant_part();
        let base = self.base(buffer, &(index - &Expr::from(constant)));
        self.beyond(buffer, &base, &constant.to_string())
    }

    /// The address `elements` after another one.
    pub fn beyond(&mut self, buffer: BufferId, base: &str, elements: &str) -> String {
        match elements {
            "0" => base.to_string(),
            _ => self.code.temp(format!("getelementptr {}, ptr {base}, i64 {elements}", self.element(buffer))),
        }
    }

    /// The address of an element; each part of the index is added in the outermost scope that knows it.
    fn base(&mut self, buffer: BufferId, index: &Expr) -> String {
        if index.is_zero() {
            return self.start(buffer);
        }
        let depends = self.code.depends(index);
        let home = self.code.home(depends);
        let key = (buffer, index.clone());
        if let Some(known) = self.code.known_address(depends..=home, &key) {
            return known;
        }
        let (outer, inner) = self.code.split_by_scope(index);
        let (from, offset) = (self.base(buffer, &outer), self.code.index(&inner));
        let pointer = self.code.temp_in(home, &format!("getelementptr {}, ptr {from}, i64 {offset}", self.element(buffer)));
        self.code.remember_address(home, key, &pointer);
        pointer
    }
}

/// The end of an intrinsic's name for a vector, of one lane too.
pub fn vector_suffix(element: &str, lanes: u32) -> String {
    format!("v{lanes}{}", suffix(element, 1))
}
