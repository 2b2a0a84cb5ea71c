//! Life of a TCP stream in a VM. Creation and end are those of every stream.

use weir_abi::{Callback, PeerType};

use super::Vm;
use super::stream::wire;
use crate::{ContextId, StreamAction, VmError};

impl Vm {
    /// A client has connected. After [`StreamAction::Stop`] the proxy reads nothing until the guest resumes the stream.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_request_headers`]. So for every callback of a TCP stream.
    pub fn on_new_connection(&mut self, id: ContextId) -> Result<StreamAction, VmError> {
        self.stream_callback(Callback::NewConnection, id, &[id.wire()])
    }

    /// Bytes from the client. `size` is the number of bytes that wait. After [`StreamAction::Stop`] the proxy keeps them and
    /// shows them again with the next.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_new_connection`].
    pub fn on_downstream_data(
        &mut self,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<StreamAction, VmError> {
        let args = [id.wire(), wire(size), u32::from(end_of_stream)];
        self.stream_callback(Callback::DownstreamData, id, &args)
    }

    /// Bytes from the upstream: as [`Vm::on_downstream_data`].
    ///
    /// # Errors
    ///
    /// As [`Vm::on_new_connection`].
    pub fn on_upstream_data(
        &mut self,
        id: ContextId,
        size: usize,
        end_of_stream: bool,
    ) -> Result<StreamAction, VmError> {
        let args = [id.wire(), wire(size), u32::from(end_of_stream)];
        self.stream_callback(Callback::UpstreamData, id, &args)
    }

    /// The connection to the client has been closed, and by whom.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_new_connection`].
    pub fn on_downstream_connection_close(&mut self, id: ContextId, by: PeerType) -> Result<(), VmError> {
        self.stream_callback(Callback::DownstreamConnectionClose, id, &[id.wire(), by.wire()])
            .map(|_| ())
    }

    /// The connection to the upstream has been closed, and by whom.
    ///
    /// # Errors
    ///
    /// As [`Vm::on_new_connection`].
    pub fn on_upstream_connection_close(&mut self, id: ContextId, by: PeerType) -> Result<(), VmError> {
        self.stream_callback(Callback::UpstreamConnectionClose, id, &[id.wire(), by.wire()])
            .map(|_| ())
    }
}
