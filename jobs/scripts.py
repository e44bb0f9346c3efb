"""What Redis does in one step, on its own clock: the scripts of the shared limits, and of who keeps a home.

    KEEP     a keeper takes or renews its lease on a home
    LEAVE    it gives it back
    BEAT     a lane renews its lease
    PLACES   a lane holds places in flight of a run
    EXCHANGE a lane tells what it has sent and got, and asks for more

A pool is one model at one connection: what a provider counts together. Its hash holds, for each of the four things that
providers limit (requests, tokens, input, output), how much may be sent now and how fast it grows; a bucket is one second deep.
"""

NOW = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1000000; "

#: KEYS keeper; ARGV place, token, milliseconds, 1 for a keeper that has just started -> where the other keeper is, or ''
KEEP = """
local held = redis.call('HMGET', KEYS[1], 'place', 'token')
-- A lock of its own lets one keeper into a folder: who starts at the same place follows one that is dead.
local own = held[2] == ARGV[2] or (held[1] == ARGV[1] and ARGV[4] == '1')
if held[1] and not own then return held[1] end
redis.call('HSET', KEYS[1], 'place', ARGV[1], 'token', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return ''
"""

#: KEYS keeper; ARGV token
LEAVE = "if redis.call('HGET', KEYS[1], 'token') == ARGV[1] then redis.call('DEL', KEYS[1]) end"

#: KEYS leases, control; ARGV lane, seconds -> lanes that live, control, 1 where the lane's lease was still there
BEAT = (
    NOW
    + """
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
-- A lease beyond any was given before the clock was set back; who lives renews it in time.
for _, lane in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now + tonumber(ARGV[2]) + 1, '+inf')) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), lane)
end
local kept = before and tonumber(before) >= now and 1 or 0
return {redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf'), redis.call('HGETALL', KEYS[2]), kept}
"""
)

#: KEYS places, leases, moves; ARGV lane, limit, wanted, running, share, name -> places held, moves; a lane without a lease holds
#: nothing and is given nothing beside what is running, and none holds more than its share while another wants what it lacks of
#: its own; each change is a move
PLACES = (
    NOW
    + """
local lane, limit, wanted, running = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local share, others, lacking, before, moved = tonumber(ARGV[5]), 0, 0, nil, false
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  if flat[i] == lane then before = flat[i + 1]
  else
    local held, wants = string.match(flat[i + 1], '^(%d+) (%d+)$')
    local lease = redis.call('ZSCORE', KEYS[2], flat[i])
    if held and lease and tonumber(lease) >= now then
      others = others + tonumber(held)
      lacking = lacking + math.max(0, math.min(tonumber(wants), share) - tonumber(held))
    else
      redis.call('HDEL', KEYS[1], flat[i])
      moved = true
    end
  end
end
local free = limit - others
local grant = math.max(running, math.min(wanted, share, free), math.min(wanted, free - lacking))
local own = redis.call('ZSCORE', KEYS[2], lane)
if not own or tonumber(own) < now then grant = running end
local after = (grant > 0 or wanted > 0) and string.format('%d %d', grant, wanted) or nil
if after ~= before then
  if after then redis.call('HSET', KEYS[1], lane, after) else redis.call('HDEL', KEYS[1], lane) end
  moved = true
end
redis.call('EXPIRE', KEYS[1], 3600)
if moved then return {grant, redis.call('HINCRBY', KEYS[3], ARGV[6], 1)} end
return {grant, tonumber(redis.call('HGET', KEYS[3], ARGV[6]) or 0)}
"""
)

#: KEYS pool, or a run's own bucket
#: ARGV one JSON: wanted, cost[4], back[4], window, sent, refused, cool, set[4], told[[dimension, limit, remaining, reset]]
#: -> granted, milliseconds until there may be more, 1 where nothing is limited, what was short ('' for nothing), window
EXCHANGE = (
    NOW
    + """
local names = {'requests', 'tokens', 'input', 'output'}
local a = cjson.decode(ARGV[1])
local pool, changed = {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do pool[flat[i]] = flat[i + 1] end
local function get(name) return tonumber(pool[name]) end
local function put(name, value)
  if value == nil then
    if pool[name] then redis.call('HDEL', KEYS[1], name) end
    pool[name] = nil
  else
    pool[name] = type(value) == 'number' and string.format('%.6f', value) or value
    changed[#changed + 1] = name
    changed[#changed + 1] = pool[name]
  end
end

-- A clock that was set back takes every moment with it, so that nobody waits for the hour that comes twice.
local back = (get('at') or now) - now
if back > 1 then
  for _, name in ipairs({'at', 'cool', 'since', 'look_at', 'why_at'}) do if get(name) then put(name, get(name) - back) end end
  for _, name in ipairs(names) do if get(name .. '_seen') then put(name .. '_seen', get(name .. '_seen') - back) end end
end

-- What the provider tells: a limit a minute is a rate; one of a longer window is only heeded when nothing is left of it.
local passed = math.max(0, now - (get('at') or now))
local remains = {}
for _, told in ipairs(a.told) do
  local name, limit, remaining, reset = names[told[1]], told[2], told[3], told[4]
  if limit > 0 and reset <= 75 then put(name .. '_told', limit / 60) end
  if remaining == 0 and reset > 75 then a.cool = math.max(a.cool, math.min(reset, 60)) end
  if remaining >= 0 then remains[told[1]] = remaining end
end
if a.cool > 0 and now + a.cool > (get('cool') or 0) then put('cool', now + a.cool) end

-- Evidence: how much of what was begun in this window was refused. What was let through is what the provider allows.
local found, since, window = get('found'), get('since') or now, get('window') or 1
local mine = a.window == window
local sent = (get('sent') or 0) + (mine and a.sent or 0)
local refused = (get('refused') or 0) + (mine and a.refused or 0)
local elapsed = now - since
local share = sent > 0 and refused / sent or 0
local plain = elapsed >= 0.25 and refused >= 20 and share > 0.3
if plain or (elapsed >= 1 and sent >= 20) or elapsed >= 10 then
  local usual = get('usual')
  if refused >= 8 and share > (usual and usual + 0.03 or 0.1) then
    local through = math.max((sent - refused) / elapsed, 0.2)
    if found then through = math.min(through, found) end
    local again = get('ceiling') and math.abs(through / get('ceiling') - 1) < 0.2
    local gap = again and math.min((get('gap') or 2) * 2, 60) or 2
    put('gap', gap); put('look_at', now + gap); put('ceiling', through)
    found = through
    put('usual', nil)
  elseif found then
    if share <= 0.1 then put('usual', math.min(usual or share, share)) end
    if get('short') == 1 and now >= (get('look_at') or 0) then
      found = found * (found > 1.1 * (get('ceiling') or found) and 1.25 or 1.02)
    end
  end
  put('found', found); put('short', 0)
  window, since, sent, refused = window + 1, now, 0, 0
end
put('window', window); put('since', since)

-- What is there now. A person's own figure goes before the provider's; what was found out holds in any case.
local rates, levels = {}, {}
local limited = false
for i, name in ipairs(names) do
  local rate = a.set[i] > 0 and a.set[i] / 60 or get(name .. '_told')
  -- A provider that answers calls which its own figure leaves no room for has told another one: one call a minute is tried.
  if rate and a.set[i] <= 0 then rate = math.max(rate, a.cost[i] / 60) end
  if i == 1 and found then rate = math.min(rate or found, found) end
  if rate then
    limited = true
    local depth, level = math.max(rate, a.cost[i], 1), get(name .. '_level')
    rates[i] = rate
    -- A limit that is new owes nothing for what was begun before it.
    if not level then levels[i] = math.max(rate * 0.1, 1)
    else levels[i] = math.min(depth, level + passed * rate + a.back[i]) - a.sent * a.cost[i] end
    -- Others may use the same key; a header that is stuck must not stop everything, so this is heeded now and then.
    if remains[i] and remains[i] < levels[i] and now - (get(name .. '_seen') or 0) > math.max(1, 3 * math.max(a.cost[i], 1) / rate) then
      levels[i] = remains[i]
      put(name .. '_seen', now)
    end
  end
end
local granted, wait, why = a.wanted, 0, ''
local cool = get('cool') or 0
if cool > now and a.wanted > 0 then
  granted, wait, why = 0, cool - now, 'cool'
end
for i = 1, 4 do
  if rates[i] and a.cost[i] > 0 then
    local fits = math.max(0, math.floor(levels[i] / a.cost[i] + 0.000001))
    if fits < granted then granted, why = fits, names[i] end
  end
end
for i, name in ipairs(names) do
  if rates[i] then
    levels[i] = levels[i] - granted * a.cost[i]
    if granted < a.wanted and name == why then wait = math.max(wait, (a.cost[i] - levels[i]) / rates[i]) end
    put(name .. '_level', levels[i])
    put(name .. '_rate', rates[i])
  else
    put(name .. '_rate', nil)
  end
end
put('sent', sent + granted); put('refused', refused)
if granted < a.wanted then
  put('short', 1); put('why', why); put('why_at', now)
end
put('at', now)
redis.call('HSET', KEYS[1], unpack(changed))
redis.call('EXPIRE', KEYS[1], 3600)
return {granted, math.ceil(wait * 1000), (limited or cool > now) and 0 or 1, why, window}
"""
)
