//! The command line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::size::Size;
use crate::storage::LunRequest;
use crate::{ServeError, log, portal};

/// An iSCSI target: serves files and block devices to initiators over TCP.
#[derive(Parser, Debug)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the daemon can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve a file or a block device until SIGTERM or SIGINT.
    Serve(ServeArguments),
}

/// Arguments of `quintain serve`.
#[derive(Args, Debug)]
pub struct ServeArguments {
    /// File or block device that becomes LUN 0; not needed with --type nullio or when --lun is given.
    pub path: Option<PathBuf>,
    /// Size, like 512MiB or 1GiB: a missing file is created sparse with it, one that is there must have it.
    #[arg(long)]
    pub size: Option<Size>,
    /// What stores the data [default: blockio for a block device, else fileio]
    #[arg(long = "type", value_enum)]
    pub kind: Option<Kind>,
    /// When a write is acknowledged.
    ///
    /// The default never loses an acknowledged write, not even when this machine loses power while the initiators go on
    /// running: they would not know that they have to write again. `wb` is much faster with many small writes and as
    /// safe as a disk with a write cache is: the initiator sees WCE=1, and SYNCHRONIZE CACHE and FUA are durable.
    #[arg(long, value_enum, default_value_t)]
    pub mode: Mode,
    /// Logical block size in bytes [default: the device's, 512 for a file]
    #[arg(long, value_parser = block_size)]
    pub block_size: Option<u32>,
    /// iSCSI name of the target [default: from the file name, like iqn.2026-11.io.quintain:disk]
    #[arg(long)]
    pub iqn: Option<String>,
    /// Address to listen on, may be given again [default: 127.0.0.1:3260, this machine only]
    ///
    /// 0.0.0.0:3260 opens the target to the network. There is no authentication yet: whoever reaches the port can read
    /// and write the disk.
    #[arg(long, value_name = "ADDR:PORT", value_parser = portal::parse)]
    pub listen: Vec<SocketAddr>,
    /// Another logical unit, may be given again: PATH,key=value,...
    ///
    /// Keys: lun (number; default: the next one that is free), size, type, mode, block-size, scsi-id, serial. Without a
    /// path: type=nullio,size=1GiB.
    #[arg(long, value_name = "PATH[,key=value...]", value_parser = lun)]
    pub lun: Vec<LunArgument>,
    /// Commands in flight at the disks, for each core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub workers: Option<u32>,
    /// Cores to use: sessions are spread over them, and each stays on one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub cores: u16,
    /// How log lines look; they go to standard error.
    #[arg(long, value_enum, default_value_t)]
    pub log: log::Format,
}

/// What stores a logical unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kind {
    /// A file, through the page cache.
    Fileio,
    /// A block device, past the page cache.
    Blockio,
    /// Nothing: reads are zeros, writes vanish. For measuring.
    Nullio,
}

/// When a write is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Mode {
    /// Write-through: when it survives a power loss.
    #[default]
    Wt,
    /// Write-back: when it is in this machine's cache; a flush or FUA makes it durable.
    Wb,
    /// Read-only: never.
    Ro,
}

/// One `--lun`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LunArgument {
    /// Its number, if it was given one.
    pub number: Option<u16>,
    /// The rest.
    pub request: LunRequest,
}

impl ServeArguments {
    /// The logical units that the command line asks for, by number.
    ///
    /// # Errors
    /// None at all, two of one number, or options of PATH without PATH.
    pub fn luns(&self) -> Result<BTreeMap<u16, LunRequest>, ServeError> {
        let mut luns = BTreeMap::new();
        if self.path.is_some() || self.kind == Some(Kind::Nullio) {
            luns.insert(0, self.first());
        } else if self.lun.is_empty() {
            return Err(ServeError::Nothing);
        } else {
            self.refuse_options_of_path()?;
        }
        let (numbered, free): (Vec<_>, Vec<_>) = self.lun.iter().partition(|lun| lun.number.is_some());
        for lun in numbered {
            let number = lun.number.expect("partitioned by it");
            if luns.insert(number, self.with_default_mode(&lun.request)).is_some() {
                return Err(ServeError::NumberTwice { number });
            }
        }
        for lun in free {
            let number = (0..=LUN_MAX).find(|number| !luns.contains_key(number)).unwrap_or(LUN_MAX);
            luns.insert(number, self.with_default_mode(&lun.request));
        }
        Ok(luns)
    }

    fn first(&self) -> LunRequest {
        LunRequest {
            path: self.path.clone(),
            size: self.size,
            kind: self.kind,
            mode: Some(self.mode),
            block_bytes: self.block_size,
            ..LunRequest::default()
        }
    }

    /// `--mode` holds for all logical units that say nothing else.
    fn with_default_mode(&self, request: &LunRequest) -> LunRequest {
        LunRequest { mode: request.mode.or(Some(self.mode)), ..request.clone() }
    }

    fn refuse_options_of_path(&self) -> Result<(), ServeError> {
        let given =
            [("size", self.size.is_some()), ("type", self.kind.is_some()), ("block-size", self.block_size.is_some())];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(ServeError::OptionWithoutPath { option }),
            None => Ok(()),
        }
    }
}

/// Flat space addressing has 14 bits.
const LUN_MAX: u16 = 16_383;

fn block_size(text: &str) -> Result<u32, String> {
    match text {
        "512" => Ok(512),
        "4096" => Ok(4_096),
        _ => Err("a logical block has 512 or 4096 bytes".to_owned()),
    }
}

fn lun(text: &str) -> Result<LunArgument, String> {
    let mut argument = LunArgument::default();
    for (position, part) in text.split(',').enumerate() {
        match part.split_once('=') {
            Some((key, value)) if position > 0 || KEYS.contains(&key) => set(&mut argument, key, value)?,
            _ if position == 0 && !part.is_empty() => argument.request.path = Some(part.into()),
            _ => return Err(format!("\"{part}\" is not of the form key=value; the keys are {}", KEYS.join(", "))),
        }
    }
    Ok(argument)
}

fn set(argument: &mut LunArgument, key: &str, value: &str) -> Result<(), String> {
    let request = &mut argument.request;
    match key {
        "lun" => {
            let number = value.parse().ok().filter(|number| *number <= LUN_MAX);
            argument.number = Some(number.ok_or_else(|| format!("a LUN is a number from 0 to {LUN_MAX}"))?);
        }
        "size" => request.size = Some(value.parse::<Size>().map_err(|error| error.to_string())?),
        "type" => request.kind = Some(choice(key, value)?),
        "mode" => request.mode = Some(choice(key, value)?),
        "block-size" => request.block_bytes = Some(block_size(value)?),
        "scsi-id" => request.scsi_id = Some(printable(value, 16)?),
        "serial" => request.serial = Some(printable(value, 32)?),
        _ => return Err(format!("there is no key \"{key}\"; the keys are {}", KEYS.join(", "))),
    }
    Ok(())
}

fn choice<T: ValueEnum>(key: &str, value: &str) -> Result<T, String> {
    T::from_str(value, false).map_err(|_| {
        let values = T::value_variants().iter().filter_map(ValueEnum::to_possible_value);
        let names: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        format!("{key} cannot be \"{value}\"; it is one of {}", names.join(", "))
    })
}

const KEYS: [&str; 7] = ["lun", "size", "type", "mode", "block-size", "scsi-id", "serial"];

fn printable(value: &str, chars_max: usize) -> Result<String, String> {
    let is_printable = value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if value.is_empty() || value.len() > chars_max || !is_printable {
        return Err(format!("write 1 to {chars_max} printable ASCII characters"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Result<ServeArguments, String> {
        let line = ["quintain", "serve"].into_iter().chain(line.split_whitespace());
        let Command::Serve(arguments) = Cli::try_parse_from(line).map_err(|error| error.to_string())?.command;
        Ok(arguments)
    }

    #[test]
    fn path_alone_is_lun_0_write_through_on_loopback() {
        let arguments = arguments("disk.img --size 1GiB").expect("it is right");
        let luns = arguments.luns().expect("they are right");
        assert_eq!(luns.len(), 1);
        assert_eq!(luns[&0].path, Some("disk.img".into()));
        assert_eq!(luns[&0].size.map(Size::bytes), Some(1 << 30));
        assert_eq!(luns[&0].mode, Some(Mode::Wt));
        assert!(arguments.listen.is_empty() && arguments.cores == 1);
    }

    #[test]
    fn further_luns_take_the_free_numbers_and_the_common_mode() {
        let line = "a --mode wb --lun b,lun=1,mode=ro --lun c --lun type=nullio,size=1MiB,block-size=4096";
        let luns = arguments(line).and_then(|a| a.luns().map_err(|e| e.to_string())).expect("they are right");
        let modes: Vec<_> = luns.iter().map(|(number, lun)| (*number, lun.mode)).collect();
        assert_eq!(modes, [(0, Some(Mode::Wb)), (1, Some(Mode::Ro)), (2, Some(Mode::Wb)), (3, Some(Mode::Wb))]);
        assert_eq!(luns[&2].path, Some("c".into()));
        assert_eq!((luns[&3].kind, luns[&3].block_bytes), (Some(Kind::Nullio), Some(4_096)));
    }

    #[test]
    fn lun_that_is_not_understood_is_refused_with_the_cure() {
        for (text, part) in [
            ("a,b", "key=value"),
            ("a,lun=x", "0 to 16383"),
            ("a,lun=16384", "0 to 16383"),
            ("a,colour=red", "the keys are"),
            ("a,serial=", "printable"),
            ("a,mode=fast", "mode cannot be \"fast\"; it is one of wt, wb, ro"),
            ("a,type=tape", "it is one of fileio, blockio, nullio"),
            ("a,block-size=1024", "512 or 4096"),
            (",size=1GiB", "key=value"),
        ] {
            assert!(lun(text).expect_err(text).contains(part), "{text}");
        }
    }

    #[test]
    fn options_that_describe_nothing_are_refused() {
        let refused = |line| arguments(line).expect("clap takes it").luns().expect_err("it is wrong").to_string();
        assert!(refused("").contains("nothing to serve"));
        assert!(refused("--size 1GiB --lun a").contains("--size"));
        assert!(refused("a --lun b,lun=0").contains("LUN 0 is defined twice"));
    }

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
