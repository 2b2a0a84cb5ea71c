//! From the raw slots of the engine's seam to the parameters of a Rust function, and back.

use weir_abi::{Errno, Status};
use weir_engine::{Caller, Signature, Trap, ValType};

use super::call::{Fault, Frame, RawCall};

/// A type that an import takes as a parameter: `u32` or `u64`.
pub trait Param {
    /// The WebAssembly type.
    const TYPE: ValType;

    /// Reads the parameter from its slot.
    fn from_slot(slot: u64) -> Self;
}

impl Param for u32 {
    const TYPE: ValType = ValType::I32;

    #[inline]
    fn from_slot(slot: u64) -> Self {
        // An i32 lies in the low half of its slot.
        slot as u32
    }
}

impl Param for u64 {
    const TYPE: ValType = ValType::I64;

    #[inline]
    fn from_slot(slot: u64) -> Self {
        slot
    }
}

/// A code with which an import answers.
pub trait Code {
    /// The WebAssembly type; `None` for a function without a result.
    const TYPE: Option<ValType>;

    /// The code as a raw slot that says: the capability is not allowed.
    const REFUSED: u64;

    /// The code as a raw slot.
    fn slot(self) -> u64;
}

/// An import without a result. A refusal shows in the log alone.
impl Code for () {
    const TYPE: Option<ValType> = None;
    const REFUSED: u64 = 0;

    fn slot(self) -> u64 {
        0
    }
}

impl Code for Status {
    const TYPE: Option<ValType> = Some(ValType::I32);
    const REFUSED: u64 = Self::InternalFailure as u64;

    fn slot(self) -> u64 {
        u64::from(self.wire())
    }
}

impl Code for Errno {
    const TYPE: Option<ValType> = Some(ValType::I32);
    const REFUSED: u64 = Self::NotCapable as u64;

    fn slot(self) -> u64 {
        self as u64
    }
}

/// The result of the function behind an import: `Result<(), Fault>` for a Proxy-Wasm [`Status`], or `Result<C, Trap>` with
/// a [`Code`]. A trap ends the guest.
pub trait Answer {
    /// The WebAssembly type; `None` for a function without a result.
    const RESULT: Option<ValType>;

    /// The raw slot that says: the capability is not allowed.
    const REFUSED: u64;

    /// The answer as a raw slot.
    ///
    /// # Errors
    ///
    /// The guest is to be stopped with this trap.
    fn into_slot(self) -> Result<u64, Trap>;

    /// The status to be counted among the plugin's failed hostcalls, if the answer is one.
    fn failure(&self) -> Option<Status> {
        None
    }
}

impl Answer for Result<(), Fault> {
    const RESULT: Option<ValType> = Status::TYPE;
    const REFUSED: u64 = Status::REFUSED;

    #[inline]
    fn into_slot(self) -> Result<u64, Trap> {
        match self {
            Ok(()) => Ok(Status::Ok.slot()),
            Err(Fault::Status(status)) => Ok(status.slot()),
            Err(Fault::Trap(trap)) => Err(trap),
        }
    }

    #[inline]
    fn failure(&self) -> Option<Status> {
        match self {
            Err(Fault::Status(status)) => Some(*status),
            _ => None,
        }
    }
}

impl<C: Code> Answer for Result<C, Trap> {
    const RESULT: Option<ValType> = C::TYPE;
    const REFUSED: u64 = C::REFUSED;

    #[inline]
    fn into_slot(self) -> Result<u64, Trap> {
        self.map(Code::slot)
    }
}

/// A function behind an import: takes the call, then `Args`.
pub trait Handler<C, Args> {
    /// Its result.
    type Answer: Answer;

    /// Its parameters beside the call.
    const PARAMS: &'static [ValType];

    /// Runs it with arguments from raw slots.
    fn invoke(self, call: &mut C, slots: &[u64]) -> Self::Answer;
}

macro_rules! handlers {
    ($($Param:ident $slot:ident),*) => {
        impl<C, F, R, $($Param: Param),*> Handler<C, ($($Param,)*)> for F
        where
            F: FnOnce(&mut C, $($Param),*) -> R,
            R: Answer,
        {
            type Answer = R;

            const PARAMS: &'static [ValType] = &[$($Param::TYPE),*];

            #[inline]
            fn invoke(self, call: &mut C, slots: &[u64]) -> R {
                // Engines give as many slots as the signature has parameters.
                let [$($slot),*] = slots.first_chunk().copied().unwrap_or_default();
                self(call, $($Param::from_slot($slot)),*)
            }
        }
    };
}

handlers!();
handlers!(A a);
handlers!(A a, B b);
handlers!(A a, B b, D d);
handlers!(A a, B b, D d, E e);
handlers!(A a, B b, D d, E e, G g);
handlers!(A a, B b, D d, E e, G g, H h);
handlers!(A a, B b, D d, E e, G g, H h, I i);
handlers!(A a, B b, D d, E e, G g, H h, I i, J j);
handlers!(A a, B b, D d, E e, G g, H h, I i, J j, K k);
handlers!(A a, B b, D d, E e, G g, H h, I i, J j, K k, L l);
handlers!(A a, B b, D d, E e, G g, H h, I i, J j, K k, L l, M m);
handlers!(A a, B b, D d, E e, G g, H h, I i, J j, K k, L l, M m, N n);

/// The signature of an import, from the function behind it.
#[doc(hidden)]
pub const fn signature_of<C, Args, F: Handler<C, Args>>(_: &F) -> Signature {
    Signature {
        params: F::PARAMS,
        result: <F::Answer as Answer>::RESULT,
    }
}

/// Runs the function behind an import, if the import answers now.
#[doc(hidden)]
#[inline]
pub fn serve<'a, C: Frame<'a>, Args, F: Handler<C, Args>>(
    caller: &'a mut dyn Caller,
    id: u32,
    slots: &[u64],
    function: F,
) -> Result<u64, Trap> {
    let mut frame = C::of(RawCall::new(caller, id));
    match frame.is_open() {
        Some(true) => {}
        Some(false) => return frame.call().refuse(<F::Answer as Answer>::REFUSED),
        None => return Err(RawCall::refuse_kind()),
    }
    let answer = function.invoke(&mut frame, slots);
    if let Some(status) = answer.failure() {
        frame.call().count_failure(status);
    }
    answer.into_slot()
}
