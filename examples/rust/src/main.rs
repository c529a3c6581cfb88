//! Tells whether lines of text stand upright or upside down: PP-OCR's classifier, compiled by
//! `inkle compile ppocr_cls.onnx --rust -o DIR`, linked and called without a line of unsafe code.
//!
//!     ARTEFACT=DIR cargo run --release -- PLANES.f32
//!
//! The file has any number of pictures, each as three planes of 48 rows of 192 floats from -1 to 1.

include!(env!("WRAPPER"));

use ppocr_cls::{Error, Model, Tensor, Threads};
use std::sync::Arc;

const PICTURE: [usize; 3] = [3, 48, 192];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: direction PLANES.f32")?;
    let bytes = std::fs::read(path)?;
    let planes: Vec<f32> = bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect();
    let threads = Threads::new(std::thread::available_parallelism()?.get())?;
    let mut model = Model::new()?.on(Arc::new(threads));
    for (upright, upside_down) in directions(&mut model, &planes)? {
        println!("upright {upright:.6}, upside down {upside_down:.6}");
    }
    Ok(())
}

/// The chances of each picture.
fn directions(model: &mut Model, planes: &[f32]) -> Result<Vec<(f32, f32)>, Error> {
    let [colours, height, width] = PICTURE;
    let pictures = planes.len() / (colours * height * width);
    let outputs = model.run(Tensor { data: planes, dims: [pictures, colours, height, width] })?;
    let chances = outputs.save_infer_model_scale_0_tmp_1.data;
    Ok(chances.chunks_exact(2).map(|two| (two[0], two[1])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(pictures: usize) -> Vec<f32> {
        let elements = pictures * PICTURE.iter().product::<usize>();
        (0..elements).map(|at| ((at * 37) % 255) as f32 / 127.5 - 1.0).collect()
    }

    #[test]
    fn chances_are_of_one_picture_each() {
        let mut model = Model::new().unwrap();
        let (one, five) = (directions(&mut model, &planes(1)).unwrap(), directions(&mut model, &planes(5)).unwrap());
        assert_eq!((one.len(), five.len()), (1, 5));
        assert!(five.iter().all(|(upright, upside_down)| (upright + upside_down - 1.0).abs() < 1e-5));
        assert_eq!(directions(&mut model, &planes(1)).unwrap(), one);
    }

    #[test]
    fn data_may_start_anywhere() {
        let mut model = Model::new().unwrap();
        let wanted = directions(&mut model, &planes(1)).unwrap();
        for start in 0..17 {
            let moved = [vec![0.0; start], planes(1)].concat();
            assert_eq!(directions(&mut model, &moved[start..]).unwrap(), wanted);
        }
    }

    #[test]
    fn models_move_to_threads() {
        let wanted = directions(&mut Model::new().unwrap(), &planes(2)).unwrap();
        let call = || {
            let mut model = Model::new().unwrap();
            std::thread::spawn(move || directions(&mut model, &planes(2)).unwrap())
        };
        let threads: Vec<_> = (0..8).map(|_| call()).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == wanted));
    }

    /// Gives some numbers twice, and the last one to nobody.
    struct Odd(usize);

    impl ppocr_cls::Parallel for Odd {
        fn threads(&self) -> usize {
            self.0
        }

        fn on_all(&self, work: &(dyn Fn(usize) + Sync)) {
            std::thread::scope(|scope| {
                for number in 1..self.0 {
                    scope.spawn(move || (work(number - 1), work(number - 1), work(self.0)));
                }
            });
        }
    }

    #[test]
    fn threads_share_calls() {
        let wanted = directions(&mut Model::new().unwrap(), &planes(7)).unwrap();
        for threads in 1..4 {
            let pool: [Arc<dyn ppocr_cls::Parallel>; 2] = [Arc::new(Threads::new(threads).unwrap()), Arc::new(Odd(threads))];
            for pool in pool {
                let mut models = [(); 3].map(|_| Model::new().unwrap().on(pool.clone()));
                std::thread::scope(|scope| {
                    for model in &mut models {
                        scope.spawn(|| (0..4).for_each(|_| assert_eq!(directions(model, &planes(7)).unwrap(), wanted)));
                    }
                });
            }
        }
    }

    #[test]
    fn wrong_dims_are_told() {
        let told = |elements: usize, dims| {
            let mut model = Model::new().unwrap();
            model.run(Tensor { data: &planes(2)[..elements], dims }).unwrap_err().to_string()
        };
        let picture = PICTURE.iter().product();
        assert_eq!(told(picture, [1, 4, 48, 192]), "x: dim 1 is 4, not 3");
        assert_eq!(told(picture, [2, 3, 48, 192]), "x: 27648 elements are given for dims [2, 3, 48, 192]");
        assert_eq!(told(0, [usize::MAX, 3, 48, 192]).split(" (").next(), told(0, [1 << 62, 3, 48, 192]).split(" (").next());
    }
}
