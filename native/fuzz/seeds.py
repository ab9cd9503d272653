"""Writes the seeds of the fuzz targets into native/fuzz/corpus: python3 native/fuzz/seeds.py. Standard library only.

A seed begins with the bytes that its target takes first (1: checksums and marks are made to hold), so that no format version and
no checksum stands in it."""
import struct
import zipfile
from pathlib import Path

here = Path(__file__).parent
fixtures = here.parent / 'tests' / 'fixtures'


def write(target, name, data):
    folder = here / 'corpus' / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def text(data):
    return bytes([len(data)]) + data


def number(value):
    return struct.pack('<Q', value)


def schemas():
    columns = b'label class 2\nf32 x\ncategory origin\nu8[32,32,3] picture\ni32[64] ids\nbytes[9] text\n'
    write('schema', 'columns', b'\x01' + struct.pack('<I', 70000) + text(struct.pack('<I', 3) + b'abcdefghi') + columns)
    write('schema', 'real', b'\x01' + bytes(5) + b'label real 0\n')
    write('schema', 'raw', b'\x00' + bytes(5) + b'sluice-dataset 4\nlabel class 3\nf32[2,2] x\n')


def deletions():
    entry = b'1732500000000 3 0 5 64 128 70000 200000\nremoved on request'
    write('deletion', 'entry', b'\x01' + number(1) + entry)
    write('deletion', 'key', b'\x00' + text(b'\x01deletion:0000000000000002') + entry)
    write('deletion', 'all', b'\x01' + number(7) + b'-5 1 0 2621440\n')


def state_logs():
    def record(size, entries):
        body = b''.join(struct.pack('<QQ', len(k), len(v)) + k + v for k, v in entries)
        return struct.pack('<IIQQ', 0, 0, size, len(body)) + body

    head = bytes(8) + number(1) + bytes(8)
    first = record(600, [(b'', b'schema'), (b'progress', b'12')])
    write('state_log', 'two', b'\x01' + head + first + record(700, [(b'progress', b'13')]))
    write('state_log', 'raw', b'\x00SLLOG1\n\x00' + head[8:] + first)


def chunks():
    header = struct.pack('<IIII', 0, 0, 600, 8)
    write('chunk', 'chunk', b'\x01\x00\x03\x00' + number(0) + b'\x01' + header + bytes(range(64)))
    write('chunk', 'labels', b'\x01\x00\x02\x01' + number(1) + b'\x01' + header + bytes(64))
    sums = struct.pack('<IIIII', 10, 1, 2, 3, 4)
    write('chunk', 'block', b'\x01\x01' + struct.pack('<I', 199999) + number(2) + bytes(24) + sums + bytes(20) + sums)
    write('chunk', 'generation', b'\x01\x02' + number(3) + struct.pack('<I', 2))
    write('chunk', 'bitmap', b'\x01\x03' + number(0) + bytes([255, 1, 0, 128]))


def trainsets():
    def head(count, first, flags):
        return bytes(8) + struct.pack('<QQII', count, first, flags, 0)

    keys = b''.join(number(k) for k in (5, 3, 999, 3))
    write('trainset', 'range', b'\x01' + head(10, 5, 1))
    write('trainset', 'keys', b'\x01' + head(4, 0, 0) + bytes(8) + keys)
    write('trainset', 'weights', b'\x01' + head(4, 0, 2) + bytes(8) + keys + struct.pack('<ffff', 1, 0.5, 0, 2))


def models():
    whole = (fixtures / 'python.safetensors').read_bytes()
    if len(whole) < 8192:
        write('safetensors', 'python', b'\x00' + whole)
    tensor = b'"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}'
    weights = b','.join([tensor % (b'embeddings.LayerNorm.gamma', b'F16', b'3', 0, 6), tensor % (b'layer.bias', b'BF16', b'3', 6, 12), tensor % (b'classifier.weight', b'F64', b'2,3', 12, 60)])
    write('safetensors', 'weights', b'\x01\x3c{' + weights + b'}')
    fields = b','.join(b'"%s":"%s"' % (name, value) for name, value in [(b'plan', b'plan'), (b'updates', b'12'), (b'batches', b'3'), (b'samples', b'96'), (b'epoch_loss', b'0x1.8p+1'), (b'epoch_batches', b'3'), (b'best_loss', b'inf'), (b'epochs_without_gain', b'0'), (b'has_best', b'1')])
    write('safetensors', 'checkpoint', b'\x01\x18{"__metadata__":{' + fields + b'},' + tensor % (b'model.layer.weight', b'F32', b'2,3', 0, 24) + b'}')


def archives():
    files = b''.join(text(name) + text(content) + bytes([0]) for name, content in [(b'data.pkl', b'\x80\x02N.'), (b'version', b'3\n'), (b'data/0', bytes(64))])
    write('archive', 'stored', b'\x01\x03' + files + b'\x00')
    write('archive', 'wide', b'\x01\x03' + files + b'\x01')
    write('archive', 'source', b'\x01\x01' + text(b'code/__torch__.py') + text(b'\x03\x00') + b'\x08\x04\x01')
    small = min(fixtures.glob('script/*.pt'), key=lambda path: path.stat().st_size)
    write('archive', small.stem, b'\x00' + small.read_bytes())


def pickles():
    for name in ('mlp_scripted', 'gru_traced', 'several_scripted', 'control_scripted', 'bad_opcode', 'bad_offset', 'bad_shared', 'bad_doubling'):
        with zipfile.ZipFile(fixtures / 'script' / f'{name}.pt') as archive:
            for entry in archive.namelist():
                data = archive.read(entry)
                if entry.endswith(('/data.pkl', '/constants.pkl')) and len(data) < 4096:
                    write('pickle', f'{name}-{Path(entry).stem}', b'\x00' + data)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\nq\x00((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x10tQK\x00(K\x04K\x04t(K\x04K\x01t\x89ccollections\nOrderedDict\n)RtR."
    write('pickle', 'tensor', b'\x01' + tensor)


def records():
    record = struct.pack('<fiiI', 1.5, -7, 12, 200) + bytes(range(90)) + bytes(2) + struct.pack('<16f', *range(16)) + struct.pack('<7i', *range(7)) + struct.pack('<I', 4) + b'text' + bytes(8)
    dense = b'\x02' + b'\x00\x00\x00' + b'\x02\x00\x00'
    categorical = b'\x02' + b'\x00\x02\x00\x00\x40\x00' + b'\x03\x00\x00\x00\x20\x00'
    picture = b'\x01\x04\x03\x04\x04\x00\x01\x00\x00'
    tokens = b'\x01\x06'
    limit = struct.pack('<H', 100)
    row = number(5) + number(1732500000000) + record
    write('records', 'all', dense + categorical + picture + tokens + limit + b'\x01' + number(3) + b'\x01' + row + row)
    write('records', 'plain', dense + categorical + b'\x00\x00' + limit + b'\x00\x00' + row)


def environments():
    write('pages', 'sound', b'\x01')
    write('pages', 'edited', b'\x01\x01\x05\x40\x00\x02\x01\x02\x03\x01\x09\x0c\x00\x01\x10\x00')
    write('pages', 'raw', b'\x02\x00\x02\x01' + bytes(16 - 6) + b'\x02\x00' + struct.pack('<HH', 18, 480) + struct.pack('<H', 480) + bytes(462))
    for records in (0, 1):
        write('dataset', f'sound-{records}', bytes([records, 0]))
        for mode in range(1, 8):
            write('dataset', f'edit-{records}-{mode}', bytes([records, 0, mode, 3, 40, 0, 0, 0, 1, 2, 3, 4]))
        for table in range(7):
            write('dataset', f'sealed-{records}-{table}', bytes([records, 1, table, 0, 4, 8, 1, 0, 0, 0, 1, 1]))
    write('metadata', 'sound', b'\x00')
    write('metadata', 'columns', b'\x01\x01\x02\x04\x31\x32\x33')
    write('metadata', 'values', b'\x01\x00\x00\x01\x02\x08\x00\x00\x00\x01\x02\x03')
    write('metadata', 'pages', b'\x00\x01\x02\x10\x00\x03\x01\x02\x03\x04')


def scripts():
    write('script', 'whole', b'\x02\x20')
    for fixture in range(0, 40, 5):
        write('script', f'edited-{fixture}', bytes([1, fixture, 0, 10, 0, 3, 1, 2, 3]))


for make in (schemas, deletions, state_logs, chunks, trainsets, models, archives, pickles, records, environments, scripts):
    make()
