//! Whose code an address is, by pclntab.

use std::ops::Range;

use crate::target::moduledata::Module;

/// What pclntab says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// A Go function: the Go unwinder's affair.
    Go,
    /// C code that Go's internal linker put among the Go functions. pclntab has its name and bounds, also in a stripped
    /// executable, but no unwinding information (cmd/link/internal/ld/pcln.go writes records for all text symbols).
    C(CFunction),
    /// Not in pclntab.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CFunction {
    /// Addresses of the process. `end` is where the next function begins.
    pub begin: u64,
    pub end: u64,
    pub name: String,
}

impl Text {
    /// `pc` is an address of the process, `bias` what was added to the module's link-time addresses.
    pub fn at(module: &Module, bias: u64, pc: u64) -> Text {
        let address = pc.wrapping_sub(bias);
        if address < module.text || address >= module.etext {
            return Text::Other;
        }
        let Ok(offset) = u32::try_from(address - module.text) else { return Text::Other };
        let Some(func) = module.pclntab.find(offset) else { return Text::Other };
        if module.pclntab.sp_delta(&func, offset).is_some() {
            return Text::Go;
        }
        let Range { start: begin, end } = module.live(bias, &func);
        let name = module.pclntab.name(func.name_offset).into_owned();
        Text::C(CFunction { begin, end, name })
    }
}
