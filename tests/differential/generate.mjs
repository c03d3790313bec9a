// SPDX-License-Identifier: Apache-2.0
// Random policies, entities and requests. Everything follows from one seed.
// Expressions know which type they want and mostly get it, so that evaluation
// goes deep; now and then they get another one, so that it errs.

export class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  below(n) {
    return Math.floor(this.next() * n);
  }
  chance(p) {
    return this.next() < p;
  }
  pick(list) {
    return list[this.below(list.length)];
  }
  some(least, most, make) {
    return Array.from({ length: least + this.below(most - least + 1) }, (_, i) => make(i));
  }
}

const TYPES = ['User', 'Group', 'Doc', 'NS::Thing', 'principal'];
const IDS = ['a', 'b', 'c', '', 'é', 'x\u0000y', 'a"b\\', 'long id with * stars', '😀'];
const ACTIONS = ['view', 'edit', 'admin', 'é'];
const ATTRIBUTES = ['a', 'b', 'n', 's', 'flag', 'set', 'ip', 'dec', 'dt', 'dur', 'rec', 'ent', 'odd name', 'is', ''];
const TEXTS = ['', 'a', 'b', 'ab', 'aab', 'a*b', 'abc', 'é', 'éa', '😀', '*', '\u0000', '\n', 'a b', '\\'];
const TAGS = ['t', 'u', 'é'];
const INTEGERS = ['0', '1', '2', '7', '-1', '-2', '1000', '86400000', '9007199254740991', '-9007199254740991',
  '9223372036854775807', '-9223372036854775808', '4611686018427387904', '3037000500', '-4611686018427387905'];
const KINDS = ['bool', 'long', 'string', 'entity', 'set', 'record', 'ip', 'decimal', 'datetime', 'duration'];

// ---- Texts that constructors take, mostly well formed ----

function ipText(r) {
  const octet = () => r.pick(['0', '1', '10', '127', '224', '239', '255', '256', '01', '192', '168']);
  const group = () => r.pick(['0', '1', 'ff00', 'FF02', 'dead', '1234', '00001', 'g', '2001', 'db8']);
  const prefix = () => (r.chance(0.5) ? '' : '/' + r.pick(['0', '4', '7', '8', '16', '24', '31', '32', '33', '08', '64', '127', '128', '129', '']));
  if (r.chance(0.45)) return [octet(), octet(), octet(), octet()].join('.') + prefix();
  if (r.chance(0.3)) return r.pick(['::', '::1', 'ff00::', 'ff02::1', '1::', '::ffff:127.0.0.1', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8',
    '1:2:3:4:5:6:7:8::', '1::2::3', ':1', '1:', ':::', '127.0.0.1', '10.0.0.0/8', '0.0.0.0/0', '::/0', '127.0.0.1/7', '::1/127']) + '';
  const parts = r.some(1, 9, group);
  if (r.chance(0.6)) parts.splice(r.below(parts.length + 1), 0, '');
  return parts.join(':') + prefix();
}

function decimalText(r) {
  if (r.chance(0.25)) return r.pick(['922337203685477.5807', '-922337203685477.5808', '922337203685477.5808', '-922337203685477.5809',
    '0.0', '-0.0', '1.', '.5', '1.12345', '1', '+1.0', ' 1.0', '1.0 ', '1e3.0', '00001.5', '99999999999999999999.0', '-.5', '1.0.0', '']);
  return r.pick(['', '-']) + r.pick(['0', '1', '12', '100']) + '.' + r.pick(['0', '5', '25', '125', '9999', '0001']);
}

function datetimeText(r) {
  const two = (list) => r.pick(list);
  const date = two(['1970', '2024', '2023', '1969', '0000', '9999', '1900', '2000', '999']) + '-' + two(['01', '02', '12', '11', '13', '00']) + '-' +
    two(['01', '28', '29', '30', '31', '32', '00']);
  if (r.chance(0.3)) return date;
  const time = 'T' + two(['00', '12', '23', '24']) + ':' + two(['00', '59', '60']) + ':' + two(['00', '59', '60']);
  return date + time + two(['', '', '', '.000', '.999', '.1', '.1234']) + two(['Z', 'Z', '', '+0000', '-0000', '+0530', '-2359', '+2400', '+0060', '+00:00', 'z']);
}

function durationText(r) {
  if (r.chance(0.2)) return r.pick(['', '-', '1', 'd', '1d1d', '1h1d', '1ms1s', '+1d', '1.5h', ' 1d', '9223372036854775807ms', '-9223372036854775808ms',
    '9223372036854775808ms', '106751991167d', '106751991168d', '-106751991168d', '106751991167d7h12m55s807ms', '106751991167d7h12m55s808ms',
    '99999999999999999999d', '00001d', '5m5s5ms', '5ms', '--1d', '-106751991167d7h12m55s808ms', '1D']);
  const units = ['d', 'h', 'm', 's', 'ms'].filter(() => r.chance(0.5));
  return r.pick(['', '', '-']) + units.map((u) => r.pick(['0', '1', '24', '59', '1000', '86400']) + u).join('');
}

const EXTENSIONS = { ip: ['ip', ipText], decimal: ['decimal', decimalText], datetime: ['datetime', datetimeText], duration: ['duration', durationText] };
const WELL = {
  ip: ['127.0.0.1', '10.1.2.3', '10.0.0.0/8', '::1', 'ff02::1', '224.0.0.1/4', '::/0', '2001:db8::/32'],
  decimal: ['0.0', '-0.0', '1.5', '-1.25', '922337203685477.5807'],
  datetime: ['1970-01-01', '2024-02-29T12:30:45.123Z', '1969-12-31T23:59:59.999Z', '1969-06-15T05:00:00Z', '1900-03-01T00:00:00.001+0030', '0000-01-01', '9999-12-31T23:59:59.999-2359'],
  duration: ['0ms', '1d', '-1d2h', '9223372036854775807ms', '-9223372036854775808ms', '1h30m', '5h', '-3ms'],
};

// ---- JSON: entities and context ----

function uidOf(r) {
  return { type: r.pick(TYPES), id: r.pick(IDS) };
}

export function jsonValue(r, kind, depth) {
  switch (kind) {
    case 'bool': return r.chance(0.5);
    case 'long': return r.pick([0, 1, 2, 7, -1, 1000, 9007199254740991, -9007199254740991, r.below(100)]);
    case 'string': return r.pick(TEXTS);
    case 'entity': return { __entity: uidOf(r) };
    case 'set': {
      const inner = r.pick(KINDS);
      return r.some(0, 4, () => jsonValue(r, depth > 0 && !r.chance(0.2) ? inner : 'long', depth - 1));
    }
    case 'record': return jsonRecord(r, depth - 1);
    default: {
      const text = r.chance(0.0015) ? EXTENSIONS[kind][1](r) : r.pick(WELL[kind]);
      return { __extn: { fn: EXTENSIONS[kind][0], arg: text } };
    }
  }
}

const KIND_OF = { a: 'any', b: 'any', n: 'long', s: 'string', flag: 'bool', set: 'set', ip: 'ip', dec: 'decimal', dt: 'datetime', dur: 'duration', rec: 'record', ent: 'entity', 'odd name': 'any', is: 'any', '': 'any' };

function kindFor(r, name) {
  const kind = KIND_OF[name];
  return kind === 'any' || r.chance(0.08) ? r.pick(KINDS) : kind;
}

function jsonRecord(r, depth) {
  const record = {};
  for (const name of ATTRIBUTES)
    if (r.chance(depth > 1 ? 0.5 : depth > 0 ? 0.25 : 0.12)) record[name] = jsonValue(r, kindFor(r, name), depth);
  return record;
}

export function entities(r) {
  const uids = [];
  for (const type of TYPES) for (const id of IDS) if (r.chance(0.2)) uids.push({ type, id });
  for (const id of ACTIONS) if (r.chance(0.8)) uids.push({ type: 'Action', id });
  if (r.chance(0.3)) uids.push({ type: 'NS::Action', id: 'view' });
  const list = uids.map((uid, i) => {
    const isAction = uid.type.endsWith('Action');
    const above = uids.slice(i + 1).filter((u) => u.type.endsWith('Action') === isAction);
    const parents = above.filter(() => r.chance(0.15));
    if (!isAction && r.chance(0.2)) parents.push({ type: 'Group', id: 'not there' });
    if (parents.length && r.chance(0.05)) parents.push(parents[0]);
    const entity = { uid, attrs: jsonRecord(r, 2), parents };
    if (r.chance(0.4)) {
      entity.tags = {};
      for (const tag of TAGS) if (r.chance(0.6)) entity.tags[tag] = jsonValue(r, r.pick(['string', 'long', 'set']), 1);
    }
    return entity;
  });
  if (list.length > 1 && r.chance(0.01)) list[list.length - 1].parents.push(list[0].uid, list[list.length - 1].uid);
  return list;
}

export function request(r, list) {
  const uid = (fallback) => (list.length && r.chance(0.8) ? r.pick(list).uid : fallback);
  const actions = list.filter((e) => e.uid.type.endsWith('Action'));
  return {
    principal: uid(uidOf(r)),
    action: actions.length && r.chance(0.9) ? r.pick(actions).uid : { type: 'Action', id: r.pick(ACTIONS) },
    resource: uid(uidOf(r)),
    context: jsonRecord(r, 2),
  };
}

// ---- Policy text ----

const ESCAPES = { '\n': ['\\n', '\n', '\\u{a}', '\\x0a'], '\u0000': ['\\0', '\\u{0}', '\\x00'], '"': ['\\"', '\\x22', '\\u{22}'], '\\': ['\\\\', '\\x5c'] };

function stringText(r, text) {
  let out = '"';
  for (const c of text) {
    if (ESCAPES[c]) out += r.pick(ESCAPES[c]);
    else if (r.chance(0.06)) out += '\\u{' + r.pick(['', '0', '00']).slice(0, 6 - c.codePointAt(0).toString(16).length) + c.codePointAt(0).toString(16) + '}';
    else if (c === "'" && r.chance(0.5)) out += "\\'";
    else out += c;
  }
  return out + '"';
}

function uidText(r, uid = r.chance(0.07) ? { type: 'Group', id: 'not there' } : uidOf(r)) {
  return uid.type + (r.chance(0.05) ? ' :: ' : '::') + stringText(r, uid.id);
}

const isName = (name) => /^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name) && name !== 'is';

function accessText(r, name) {
  return isName(name) && r.chance(0.85) ? '.' + name : '[' + stringText(r, name) + ']';
}

function patternText(r) {
  return '"' + r.some(0, 4, () => r.pick(['*', '*', '\\*', 'a', 'b', 'é', '\\u{2a}', '\\x2a', '\\x61', ' ', '**', '😀', '\\n'])).join('') + '"';
}

// A text and a pattern that is made from it, so that it often just matches.
function likeText(r) {
  const text = r.some(0, 6, () => r.pick(['a', 'b', 'é', '*', '😀', '\\', '"'])).join('');
  const pattern = Array.from(text, (c) => (r.chance(0.25) ? r.pick(['*', '**', '\\u{2a}', '\\x2a', '']) : c === '*' ? r.pick(['\\*', '\\*', '*']) : stringText(r, c).slice(1, -1)));
  if (r.chance(0.3)) pattern.splice(r.below(pattern.length + 1), 0, r.pick(['*', 'a', '\\u{2a}']));
  return stringText(r, text) + ' like "' + pattern.join('') + '"';
}

function pathText(r, depth) {
  const base = r.pick(['context', 'context', 'principal', 'resource', 'action', uidText(r), expression(r, 'entity', depth - 1)]);
  return base.includes(' ') || base.includes('(') ? '(' + base + ')' : base;
}

function attribute(r, kind, depth) {
  const names = ATTRIBUTES.filter((n) => KIND_OF[n] === kind || (KIND_OF[n] === 'any' && r.chance(0.1)));
  const name = names.length ? r.pick(names) : r.pick(ATTRIBUTES);
  const path = pathText(r, depth);
  const inner = r.chance(0.15) ? path + accessText(r, 'rec') : path;
  const read = inner + accessText(r, name);
  if (kind === 'bool' && r.chance(0.6)) return '(' + inner + ' has ' + (isName(name) ? name : stringText(r, name)) + ' && ' + read + ')';
  return read;
}

function constructor(r, kind) {
  const [fn, text] = EXTENSIONS[kind];
  if (r.chance(0.01)) return fn + '(' + r.pick(['', '"a", "b"', '1', 'context.s']) + ')';
  return fn + '(' + stringText(r, r.chance(0.35) ? text(r) : r.pick(WELL[kind])) + ')';
}

function paren(text) {
  return '(' + text + ')';
}

function booleanText(r, depth) {
  const e = (kind) => expression(r, kind, depth - 1);
  const p = (kind) => paren(e(kind));
  const has = () => r.pick([() => r.pick(ATTRIBUTES.filter(isName)), () => stringText(r, r.pick(ATTRIBUTES)), () => 'rec.' + r.pick(ATTRIBUTES.filter(isName)),
    () => 'rec.rec.n', () => 'ent.' + r.pick(ATTRIBUTES.filter(isName))])();
  const forms = [
    () => p('bool') + ' && ' + p('bool'),
    () => p('bool') + ' || ' + p('bool'),
    () => p('bool') + ' && ' + p('bool') + ' && ' + p('bool') + ' || ' + p('bool'),
    () => '!'.repeat(1 + r.below(4)) + p('bool'),
    () => { const k = r.pick(KINDS); return p(k) + r.pick([' == ', ' != ']) + p(r.chance(0.9) ? k : r.pick(KINDS)); },
    () => { const k = r.pick(['long', 'long', 'datetime', 'datetime', 'duration', 'duration', 'decimal']); return p(k) + r.pick([' < ', ' <= ', ' > ', ' >= ']) + p(k); },
    () => p('entity') + ' in ' + p('entity'),
    () => p('entity') + ' in ' + (r.chance(0.8) ? '[' + r.some(0, 4, () => e('entity')).join(', ') + r.pick(['', '', ',']).slice(0, 0) + ']' : p('set')),
    () => p('entity') + ' is ' + r.pick(TYPES),
    () => p('entity') + ' is ' + r.pick(TYPES) + ' in ' + p('entity'),
    () => r.pick(['principal', 'resource', 'action', 'context', p('record'), p('entity')]) + ' has ' + has(),
    () => p('string') + ' like ' + patternText(r),
    () => likeText(r),
    () => p('set') + '.contains(' + e(r.pick(KINDS)) + ')',
    () => p('set') + r.pick(['.containsAll', '.containsAny']) + '(' + e('set') + ')',
    () => p('set') + '.isEmpty()',
    () => p('entity') + '.hasTag(' + e('string') + ')',
    () => p('datetime') + r.pick(['.toTime()', '.durationSince(' + e('datetime') + ')']) + r.pick([' < ', ' == ', ' >= ']) + p('duration'),
    () => p('datetime') + r.pick(['.toDate()', '.offset(' + e('duration') + ')']) + r.pick([' < ', ' == ', ' >= ']) + p('datetime'),
    () => p('ip') + r.pick(['.isIpv4()', '.isIpv6()', '.isLoopback()', '.isMulticast()']),
    () => p('ip') + '.isInRange(' + e('ip') + ')',
    () => p('decimal') + r.pick(['.lessThan', '.lessThanOrEqual', '.greaterThan', '.greaterThanOrEqual']) + '(' + e('decimal') + ')',
  ];
  return r.pick(forms)();
}

function longText(r, depth) {
  const e = (kind) => paren(expression(r, kind, depth - 1));
  return r.pick([
    () => r.some(2, 4, () => e('long')).join(r.pick([' + ', ' - ', ' * '])),
    () => e('long') + ' + ' + e('long') + ' * ' + e('long') + ' - ' + e('long'),
    () => '-'.repeat(1 + r.below(4)) + e('long'),
    () => '-'.repeat(1 + r.below(4)) + r.pick(INTEGERS.filter((n) => n[0] !== '-')),
    () => e('duration') + r.pick(['.toMilliseconds()', '.toSeconds()', '.toMinutes()', '.toHours()', '.toDays()']),
  ])();
}

function recordText(r, depth) {
  const names = ATTRIBUTES.filter(() => r.chance(0.25));
  return '{' + names.map((n) => (isName(n) && r.chance(0.7) ? n : stringText(r, n)) + ': ' + expression(r, kindFor(r, n), depth - 1)).join(', ') + (names.length && r.chance(0.1) ? ',' : '') + '}';
}

function setText(r, depth) {
  const kind = r.pick(KINDS);
  return '[' + r.some(0, 4, () => expression(r, r.chance(0.85) ? kind : r.pick(KINDS), depth - 1)).join(', ') + ']';
}

function leaf(r, kind) {
  switch (kind) {
    case 'bool': return r.pick(['true', 'false', 'true']);
    case 'long': return r.pick(INTEGERS);
    case 'string': return stringText(r, r.pick(TEXTS));
    case 'entity': return r.pick(['principal', 'resource', 'action', uidText(r), uidText(r), uidText(r, { type: 'Action', id: r.pick(ACTIONS) })]);
    case 'set': return r.pick(['[]', '[1, 2, 1]', '["a", "b"]', '[principal, resource]', '[User::"a", Group::"b"]', '[[1], [], {a: 1}]', '[true]']);
    case 'record': return r.pick(['context', '{}', '{a: 1}', '{"odd name": "a", rec: {n: 1}}']);
    default: return constructor(r, kind);
  }
}

export function expression(r, wanted, depth) {
  const kind = r.chance(0.015) ? r.pick(KINDS) : wanted;
  if (depth <= 0) return leaf(r, kind);
  const roll = r.next();
  if (roll < 0.08) return paren('if ' + expression(r, 'bool', depth - 1) + ' then ' + expression(r, kind, depth - 1) + ' else ' + expression(r, kind, depth - 1));
  if (roll < 0.25) return attribute(r, kind, depth);
  if (roll < 0.35) return leaf(r, kind);
  switch (kind) {
    case 'bool': return booleanText(r, depth);
    case 'long': return longText(r, depth);
    case 'set': return setText(r, depth);
    case 'record': return recordText(r, depth);
    case 'string': return r.chance(0.2) ? paren(expression(r, 'entity', depth - 1)) + '.getTag(' + stringText(r, r.pick(TAGS)) + ')' : attribute(r, kind, depth);
    case 'datetime': return r.chance(0.6) ? paren(expression(r, 'datetime', depth - 1)) + r.pick(['.toDate()', '.offset(' + expression(r, 'duration', depth - 1) + ')']) : leaf(r, kind);
    case 'duration': return r.chance(0.6) ? paren(expression(r, 'datetime', depth - 1)) + r.pick(['.toTime()', '.durationSince(' + expression(r, 'datetime', depth - 1) + ')']) : leaf(r, kind);
    default: return leaf(r, kind);
  }
}

function partyText(r, name, slot) {
  const target = slot ? '?' + name : uidText(r);
  const inner = !slot && r.chance(0.05) ? '((' + target + '))' : target;
  const roll = slot ? r.next() * 0.6 : r.next();
  if (roll < 0.15) return name + ' == ' + inner;
  if (roll < 0.4) return name + ' in ' + inner;
  if (roll < 0.6) return name + ' is ' + r.pick(TYPES) + ' in ' + inner;
  if (roll < 0.7) return name + ' is ' + r.pick(TYPES);
  return name;
}

function actionText(r) {
  const one = () => (r.chance(0.1) ? 'NS::Action::"view"' : 'Action::' + stringText(r, r.pick(ACTIONS)));
  const roll = r.next();
  if (roll < 0.2) return 'action == ' + one();
  if (roll < 0.4) return 'action in ' + one();
  if (roll < 0.6) return 'action in [' + r.some(0, 3, one).join(', ') + ']';
  return 'action';
}

const SPACES = [' ', '\n', '\t', ' // a comment\n', ' //\r\n', '  ', ...'\u000b\u000c\u0085\u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000'];

// A policy that is satisfied now and then needs a scope that is not too narrow.
export function policy(r, slots = {}) {
  const annotations = r.chance(0.15) ? r.pick(['@id("x")\n', '@advice\n', '@a("1") @b("2")\n', '@if("é")']) : '';
  const depth = r.pick([1, 2, 2, 3, 3, 4]);
  const clauses = r.some(0, 2, () => r.pick(['when', 'unless']) + r.pick(SPACES) + '{ ' + expression(r, 'bool', depth) + ' }').join(r.pick(SPACES));
  const isOpen = !slots.principal && !slots.resource && r.chance(0.5);
  const scope = isOpen ? 'principal, action, resource' :
    partyText(r, 'principal', slots.principal) + ', ' + actionText(r) + ', ' + partyText(r, 'resource', slots.resource);
  return annotations + r.pick(['permit', 'permit', 'forbid']) + r.pick(['', ' ']) + '(' + scope + r.pick(['', '', ',']) + ')' + r.pick(SPACES) + clauses + ';';
}

export function deepPolicy(r) {
  const depth = 20 + r.below(15);
  let text = r.pick(['context.flag', 'true', 'principal has a', 'resource.n < 3']);
  for (let i = 0; i < depth; i++)
    text = r.pick([(t) => '(' + t + ')', (t) => '!(' + t + ')', (t) => 'true && (' + t + ')', (t) => '(' + t + ') || false', (t) => 'if (' + t + ') then true else context has n',
      (t) => '[' + t + '].contains(true)', (t) => '{a: ' + t + '}.a'])(text);
  return r.pick(['permit', 'forbid']) + '(principal, action, resource) when { ' + text + ' };';
}

// One small wound: a character or token removed, doubled, replaced or moved.
export function wound(r, text) {
  const tokens = text.match(/"(?:\\.|[^"\\])*"|[_a-zA-Z0-9]+|::|[=!<>]=|&&|\|\||\s+|./gsu) ?? [];
  const i = r.below(tokens.length);
  const junk = ['(', ')', '{', '}', '[', ']', ',', ';', '.', '::', ':', '==', '=', '<', 'in', 'is', 'has', 'like', 'if', 'then', 'else', 'true', '1', '"a"', '"\\q"', '"\\x80"', '"\\u{d800}"',
    '"\\u{1234567}"', '"\\u{_1}"', '"\\u{1_0}"', '"\\u{}"', '"a\rb"', '@', '@x', '?principal', '?resource', '?other', 'principal', 'action', 'resource', 'context', 'permit', 'forbid', 'when', 'unless', '__cedar', 'User', 'User::"a"', '!', '-', '+', '*', '/',
    '%', '&&', '||', '&', '|', '#', 'é', '\u200b', '\ufeff', '\u180e', '\u0000', '"*"', '9223372036854775808', '18446744073709551616', '.foo()', '.contains()', '.contains(1, 2)', '.isEmpty(1)', 'ip("::1")', 'foo("x")', 'ip.x', 'a::b', '.isIpv4()', 'isIpv4("x")',
    'when { true }', 'when {}', '//', '!!!!!', '-----', '!-', ' is User ', ' in User::"a" ', '{a: 1, a: 2}', '{if: 1}', '[1,]', '(,)', '.if', '["a"]', '[a]', '("a")', '"a" like "b"', 'Action::"view"'];
  switch (r.below(5)) {
    case 0: tokens.splice(i, 1); break;
    case 1: tokens.splice(i, 0, tokens[i]); break;
    case 2: tokens[i] = r.pick(junk); break;
    case 3: tokens.splice(i, 0, r.pick(junk)); break;
    default: { const j = r.below(tokens.length); [tokens[i], tokens[j]] = [tokens[j], tokens[i]]; }
  }
  return tokens.join('');
}
