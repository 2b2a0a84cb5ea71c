-- Adds one header to the request and one to the response.

function do_global_read_request()
  ts.client_request.header['x-bench-request'] = '1'
end

function do_global_send_response()
  ts.client_response.header['x-bench-response'] = '1'
end
