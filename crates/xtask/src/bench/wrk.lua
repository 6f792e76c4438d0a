-- Posts the body that stands in the file BENCH_BODY and reads every answer: only `"result":true` counts, and
-- the push platform's `"code":200`. Each thread loads one
-- of the ports BENCH_PORTS, in turns.
local file = assert(io.open(os.getenv("BENCH_BODY"), "rb"))
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = file:read("*a")
file:close()

local threads, ports = {}, {}
for port in string.gmatch(os.getenv("BENCH_PORTS"), "%d+") do
  table.insert(ports, port)
end

function setup(thread)
  thread.addr = wrk.lookup("127.0.0.1", ports[#threads % #ports + 1])[1]
  table.insert(threads, thread)
end

function init()
  good, bad, sample = 0, 0, ""
end

function response(status, _, body)
  local has = function(text) return string.find(body, text, 1, true) end
  if status == 200 and (has('"result":true') or has('"result": true') or has('"code":200,')) then
    good = good + 1
  else
    bad = bad + 1
    if sample == "" then sample = status .. " " .. string.sub(body, 1, 200) end
  end
end

function done(summary, latency)
  local good, bad, sample = 0, 0, ""
  for _, thread in ipairs(threads) do
    good = good + thread:get("good")
    bad = bad + thread:get("bad")
    if sample == "" then sample = thread:get("sample") end
  end
  local errors = summary.errors
  io.write(string.format("\nBENCH good=%d bad=%d micros=%d p50=%d p99=%d errors=%d sample=%s\n", good, bad,
    summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, (string.gsub(sample, "%s", " "))))
end
