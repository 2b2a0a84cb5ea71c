//! Life of a TCP stream in a VM. Creation and end are those of every stream.

use weir_abi::{Callback, PeerType};

use super::Vm;
use super::stream::wire;
use crate::{ContextId, StreamAction, VmError};

impl Vm {
    /// A client has connected. After `Stop` nothing is read until the guest resumes the stream.
    pub fn on_new_connection(&mut self, id: ContextId) -> Result<StreamAction, VmError> {
        self.stream_callback(Callback::NewConnection, id, &[id.wire()])
    }

    /// Bytes from the client: `size` in all that wait. After `Stop` they are kept and shown again with the next.
    pub fn on_downstream_data(
        &mut self,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<StreamAction, VmError> {
        let args = [id.wire(), wire(size), u32::from(end_of_stream)];
        self.stream_callback(Callback::DownstreamData, id, &args)
    }

    /// Bytes from the upstream; as [`Vm::on_downstream_data`].
    pub fn on_upstream_data(
        &mut self,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<StreamAction, VmError> {
        let args = [id.wire(), wire(size), u32::from(end_of_stream)];
        self.stream_callback(Callback::UpstreamData, id, &args)
    }

    /// The client's connection is closed, and by whom.
    pub fn on_downstream_connection_close(&mut self, id: ContextId, by: PeerType) -> Result<(), VmError> {
        self.stream_callback(Callback::DownstreamConnectionClose, id, &[id.wire(), by.wire()])
            .map(|_| ())
    }

    /// The upstream's connection is closed, and by whom.
    pub fn on_upstream_connection_close(&mut self, id: ContextId, by: PeerType) -> Result<(), VmError> {
        self.stream_callback(Callback::UpstreamConnectionClose, id, &[id.wire(), by.wire()])
            .map(|_| ())
    }
}
