//! Upstreams of the configuration, made ready for connections.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::Authority;
use weir_config::Upstream;
use weir_http_rules::pseudo;
use weir_meters::{Meters, UpstreamMeter};

use crate::tls::{Tls, TlsError};

/// An upstream that can be connected to: what the configuration says of it, with certificates read and TLS set up. Made
/// once; all workers share it and its TLS session tickets.
#[derive(Clone, Debug)]
pub struct LoadedUpstream {
    pub(crate) config: Arc<Upstream>,
    pub(crate) tls: Option<Tls>,
    pub(crate) authority: Option<Authority>,
    pub(crate) meter: Arc<UpstreamMeter>,
}

impl LoadedUpstream {
    /// Reads the certificates and keys that the configuration names. Blocks on those files, so belongs to start-up and
    /// reload.
    ///
    /// # Errors
    ///
    /// Files that cannot be read or hold no certificate, and names or authorities that are none.
    pub fn load(config: Arc<Upstream>) -> Result<Self, UpstreamError> {
        let error = |failure| UpstreamError {
            name: config.name.clone(),
            failure,
        };
        let tls = config.tls.as_ref().map(Tls::load).transpose();
        let tls = tls.map_err(|source| error(LoadFailure::Tls(source)))?;
        let parse = |text: &String| {
            pseudo::authority(text.as_bytes()).ok_or_else(|| error(LoadFailure::Authority(text.clone())))
        };
        let authority = config.authority.as_ref().map(parse).transpose()?;
        Ok(Self {
            config,
            tls,
            authority,
            meter: Arc::default(),
        })
    }

    /// Returns what the configuration says.
    pub fn config(&self) -> &Arc<Upstream> {
        &self.config
    }

    /// Counts of what is sent to the upstream. Whoever gives a request up because no response comes in time counts the
    /// error there.
    pub fn meter(&self) -> &UpstreamMeter {
        &self.meter
    }

    /// Returns the same upstream for requests that bring their authority themselves: it does not replace theirs.
    pub fn keeping_authorities(&self) -> Self {
        Self {
            authority: None,
            ..self.clone()
        }
    }
}

/// An upstream that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("upstream {name}: {failure}")]
pub struct UpstreamError {
    name: String,
    #[source]
    failure: LoadFailure,
}

#[derive(Debug, thiserror::Error)]
enum LoadFailure {
    #[error(transparent)]
    Tls(TlsError),
    #[error("`{0}` is not an authority")]
    Authority(String),
}

/// The upstreams of a configuration that have been loaded. Equal ones are loaded once, and share TLS session tickets.
#[derive(Debug, Default)]
pub struct Upstreams {
    meters: Meters,
    loaded: HashMap<Arc<Upstream>, Arc<LoadedUpstream>>,
}

impl Upstreams {
    /// No upstreams so far; what is sent to them is counted in `meters`, by their names.
    pub fn new(meters: Meters) -> Self {
        Self {
            meters,
            loaded: HashMap::new(),
        }
    }

    /// Returns the upstream, loaded; the planner calls it for each upstream of a configuration.
    ///
    /// # Errors
    ///
    /// As [`LoadedUpstream::load`].
    pub fn load(&mut self, config: &Arc<Upstream>) -> Result<Arc<LoadedUpstream>, UpstreamError> {
        if let Some(known) = self.loaded.get(config) {
            return Ok(Arc::clone(known));
        }
        let loaded = Arc::new(LoadedUpstream {
            meter: self.meters.upstream(&config.name),
            ..LoadedUpstream::load(Arc::clone(config))?
        });
        self.loaded.insert(Arc::clone(config), Arc::clone(&loaded));
        Ok(loaded)
    }
}
