-- Computes for some 100 microseconds on each request, as filters/bench/examples/burn.rs does.

local bit = require('bit')
local bxor, lshift, rshift = bit.bxor, bit.lshift, bit.rshift

local ROUNDS = 45000
local seed = 0

local function burn(seed)
  local value = bit.bor(seed, 1)
  for _ = 1, ROUNDS do
    value = bxor(value, lshift(value, 13))
    value = bxor(value, rshift(value, 17))
    value = bxor(value, lshift(value, 5))
  end
  return value
end

function do_global_read_request()
  seed = seed + 1
  local odd = bit.band(burn(seed), 1)
  ts.client_request.header['x-bench-burn'] = odd == 0 and 'even' or 'odd'
end
