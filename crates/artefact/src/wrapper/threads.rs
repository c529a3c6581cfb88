/// Threads that share the work of calls. `rayon::ThreadPool::broadcast` does what `on_all` has to.
pub trait Parallel: Send + Sync {
    /// How many there are, the calling one too.
    fn threads(&self) -> usize;

    /// Calls `work` with each number below `threads()` once, best at the same time, and returns when all have returned.
    fn on_all(&self, work: &(dyn Fn(usize) + Sync));
}

/// Threads that wait for work: a short while awake, since the steps of a call follow each other within microseconds, then asleep.
pub struct Threads {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Held by the call that has the threads.
    turn: Mutex<()>,
}

type Work = *const (dyn Fn(usize) + Sync);

struct Shared {
    job: Mutex<Job>,
    started: Condvar,
    finished: Condvar,
    /// So far.
    launches: AtomicUsize,
    /// Workers that have not finished the present launch.
    busy: AtomicUsize,
}

struct Job {
    work: Option<Work>,
    stop: bool,
}

// SAFETY: what the pointer leads to may be called by any thread, and `on_all` stays until none does
unsafe impl Send for Job {}

impl Threads {
    /// So many threads, the calling one too.
    pub fn new(threads: usize) -> std::io::Result<Threads> {
        let job = Mutex::new(Job { work: None, stop: false });
        let (started, finished) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { job, started, finished, launches: AtomicUsize::new(0), busy: AtomicUsize::new(0) });
        let mut pool = Threads { shared, workers: Vec::new(), turn: Mutex::new(()) };
        for number in 1..threads {
            let shared = pool.shared.clone();
            pool.workers.push(std::thread::Builder::new().spawn(move || shared.serve(number))?);
        }
        Ok(pool)
    }
}

impl Parallel for Threads {
    fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    fn on_all(&self, work: &(dyn Fn(usize) + Sync)) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime changes, and this function stays until no worker has the pointer
        let pointer: Work = unsafe { std::mem::transmute(ptr::from_ref(work)) };
        shared.busy.store(self.workers.len(), SeqCst);
        shared.job().work = Some(pointer);
        shared.launches.fetch_add(1, SeqCst);
        shared.started.notify_all();
        work(0);
        if !awake(|| shared.busy.load(SeqCst) == 0) {
            let mut job = shared.job();
            while shared.busy.load(SeqCst) > 0 {
                job = shared.finished.wait(job).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.job().stop = true;
        self.shared.launches.fetch_add(1, SeqCst);
        self.shared.started.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn job(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, number: usize) {
        let mut seen = 0;
        loop {
            awake(|| self.launches.load(SeqCst) != seen);
            let mut job = self.job();
            while self.launches.load(SeqCst) == seen {
                job = self.started.wait(job).unwrap_or_else(PoisonError::into_inner);
            }
            seen = self.launches.load(SeqCst);
            let (Some(work), false) = (job.work, job.stop) else { return };
            drop(job);
            // SAFETY: `on_all` stays until this worker says that it has finished
            unsafe { (*work)(number) };
            if self.busy.fetch_sub(1, SeqCst) == 1 {
                let _job = self.job();
                self.finished.notify_one();
            }
        }
    }
}

/// Whether something comes true within some microseconds.
fn awake(done: impl Fn() -> bool) -> bool {
    (0..2000).any(|_| {
        std::hint::spin_loop();
        done()
    })
}

/// How many parts a thread gets of a launch, so that slower ones can take fewer.
const PARTS: i64 = 4;

/// Threads with the scratch of each.
struct Crew {
    parallel: Arc<dyn Parallel>,
    scratch: Vec<Memory>,
}

impl Crew {
    fn grow(&mut self, bytes: i64) -> Result<(), Error> {
        self.scratch.iter_mut().try_for_each(|scratch| scratch.grow(bytes))
    }

    /// What the model's code calls for a launch; `crew` is a `Crew`.
    unsafe extern "C" fn share(crew: *mut c_void, task: Task, args: *const c_void, tasks: i64, grain: i64, scratch_bytes: i64) -> i32 {
        // SAFETY: the call that runs holds it, and launches follow one another
        let crew = unsafe { &mut *crew.cast::<Crew>() };
        if crew.grow(scratch_bytes).is_err() {
            return ERROR_SCRATCH;
        }
        let threads = crew.scratch.len() as i64;
        let grain = grain.max(1);
        let part = (tasks / (threads * PARTS) / grain).max(1) * grain;
        let shared = Launch { task, args, tasks, part, next: AtomicI64::new(0), result: AtomicI32::new(0) };
        let seats: Vec<Seat> = crew.scratch.iter_mut().map(|scratch| Seat { scratch: scratch.start(), taken: AtomicBool::new(false) }).collect();
        // who gives a number twice finds its seat taken
        crew.parallel.on_all(&|number| {
            if let Some(seat) = seats.get(number).filter(|seat| !seat.taken.swap(true, SeqCst)) {
                shared.run(seat.scratch);
            }
        });
        // nothing is left but where some number was not given
        shared.run(seats[0].scratch);
        shared.result.into_inner()
    }
}

/// The scratch of one thread.
struct Seat {
    scratch: *mut u8,
    taken: AtomicBool,
}

// SAFETY: one thread takes the seat
unsafe impl Sync for Seat {}

struct Launch {
    task: Task,
    args: *const c_void,
    tasks: i64,
    part: i64,
    /// The first task that nobody has taken.
    next: AtomicI64,
    /// Of the first task that failed.
    result: AtomicI32,
}

// SAFETY: tasks may run at the same time
unsafe impl Sync for Launch {}

impl Launch {
    fn run(&self, scratch: *mut u8) {
        while self.result.load(SeqCst) == 0 {
            let begin = self.next.fetch_add(self.part, SeqCst);
            if begin >= self.tasks {
                return;
            }
            // SAFETY: the arguments are those of the task, and nobody else has the scratch
            let result = unsafe { (self.task)(self.args, begin, (begin + self.part).min(self.tasks), scratch.cast()) };
            if result != 0 {
                let _ = self.result.compare_exchange(0, result, SeqCst, SeqCst);
            }
        }
    }
}
