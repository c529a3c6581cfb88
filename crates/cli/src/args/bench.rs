//! The arguments of `inkle bench`.

use super::{FormArgs, MachineArgs, ModelArgs, parse};
use clap::{Args, Subcommand, ValueEnum};
use ir::DType;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub product: Option<Bench>,

    /// An ONNX file or the text of a level; with --against, any number of them
    #[arg(required = true, value_name = "MODEL")]
    pub models: Vec<PathBuf>,

    /// Inputs as for `run`, or a folder that has them as MODEL.npz. The second set, which calls take in turn, is FILE.2.npz where that
    /// has the same shapes, else drawn
    #[arg(long, value_name = "FILE.npz|DIR")]
    pub inputs: Option<PathBuf>,

    /// Print how long each stage of the compiler took
    #[arg(long, conflicts_with = "against")]
    pub timings: bool,

    /// Time other frameworks too, side by side: the same inputs, as many threads, rounds by turns, outputs compared. They are Python
    /// packages, installed on first use into an environment of their own, $XDG_CACHE_HOME/inkle-peers or ~/.cache/inkle-peers
    #[arg(long, value_name = "PEER,..", value_delimiter = ',')]
    pub against: Vec<Peer>,

    /// Whether peers compute in f32 or may choose, as OpenVINO does bf16 where the processor has it
    #[arg(long, value_name = "PRECISION", default_value = "f32", requires = "against")]
    pub peer_precision: PeerPrecision,

    /// Rounds of each side, of a quarter of a second; six or more give intervals of 95 % or more
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u8).range(1..=200), requires = "against")]
    pub rounds: u8,

    /// Write the comparison as a page with plots: ratios, roofline, compile time, memory, time by kernel
    #[arg(long, value_name = "FILE", requires = "against")]
    pub html: Option<PathBuf>,

    /// Hold one of the models and answer requests: our side of a comparison
    #[arg(long, hide = true, num_args = 2, value_names = ["MODEL", "FOLDER"])]
    pub serve: Option<Vec<PathBuf>>,

    #[command(flatten)]
    pub compile: ModelArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    Onnxruntime,
    Openvino,
    /// Through onnx2torch, traced and frozen; its packages may take some gigabytes
    Torch,
    /// With --threads 1 only: its package has no setting for more
    Tract,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::Onnxruntime => "onnxruntime",
            Peer::Openvino => "openvino",
            Peer::Torch => "torch",
            Peer::Tract => "tract",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PeerPrecision {
    F32,
    Default,
}

impl PeerPrecision {
    pub fn name(self) -> &'static str {
        match self {
            PeerPrecision::F32 => "f32",
            PeerPrecision::Default => "default",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Time one matrix product C[m,n] = A[m,k] B[k,n], beside the most that this machine can do
    Gemm(GemmArgs),
    /// Time one convolution as it stands inside of a model, weights known and channels last, beside the most that this machine can do
    Conv(ConvArgs),
    /// Time attention, softmax(Q K^T / sqrt(depth)) V over f32, beside the most that this machine can do
    Attention(AttentionArgs),
}

#[derive(Debug, Args)]
pub struct AttentionArgs {
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub batch: u32,
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub heads: u32,
    /// Rows of Q, K and V
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub length: u32,
    /// Columns of a head
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub depth: u32,

    #[command(flatten)]
    pub machine: MachineArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Args)]
pub struct GemmArgs {
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub m: u32,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub n: u32,
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub k: u32,

    /// Element type of A and B, and of C where it is a float; products of i8 or u8 are i32
    #[arg(long, default_value = "f32", value_parser = parse::factor_type)]
    pub dtype: DType,

    #[command(flatten)]
    pub machine: MachineArgs,

    #[command(flatten)]
    pub form: FormArgs,
}

#[derive(Debug, Args)]
pub struct ConvArgs {
    /// Rows of the input, without its border
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub h: u32,
    /// Columns of the input, without its border
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub w: u32,
    /// Channels of the input
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub channels: u32,
    /// Channels of the result
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub outputs: u32,
    /// Rows and columns of the window; the border is as wide as keeps the size at stride 1
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub kernel: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub stride: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub dilation: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub groups: u32,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub batch: u32,

    /// Element type of the input and the weights, and of the result where it is a float; products of i8 or u8 are i32
    #[arg(long, default_value = "f32", value_parser = parse::factor_type)]
    pub dtype: DType,

    #[command(flatten)]
    pub machine: MachineArgs,

    #[command(flatten)]
    pub form: FormArgs,
}
