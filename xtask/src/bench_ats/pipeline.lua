-- Several requests at a time on each connection, so that the load generator takes little of the cores that are measured.

local AT_ONCE = 16
local requests

function init()
  requests = string.rep(wrk.format(), AT_ONCE)
end

function request()
  return requests
end
