"""Makes formula_*.json: what torchvision 0.26 and timm 1.0 give for networks whose weights and input follow the
formula of the other formula fixtures. Run: python make_formula.py (needs torch, torchvision, timm, numpy, safetensors)."""
import json, os
import numpy as np, timm, timm.models.vgg, torch, torchvision
from safetensors.torch import save_file

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'vision')
FORMULA = ('number i of tensor NAME: x = i * 0x9E3779B1 + (fnv1a32(NAME) xor seed); x ^= x>>16; x *= 0x85EBCA6B; x ^= x>>13; '
           'x *= 0xC2B2AE35; x ^= x>>16, all modulo 2^32; low + (high - low) * (x>>8) / 2^24. running_mean [-.2, .2], running_var '
           '[.5, 1.5], bias [-.1, .1], 1-d weight [.5, 1.5], others [-a, a] with a = sqrt(6 / fan in); input [-2, 2]')


def hashed(name, seed, low, high, shape):
    h = 0x811C9DC5
    for b in name.encode(): h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    x = (np.arange(int(np.prod(shape)), dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(h ^ seed)).astype(np.uint32)
    x ^= x >> np.uint32(16); x *= np.uint32(0x85EBCA6B); x ^= x >> np.uint32(13); x *= np.uint32(0xC2B2AE35); x ^= x >> np.uint32(16)
    return torch.from_numpy((low + (high - low) * (x >> np.uint32(8)).astype(np.float64) / 2 ** 24).astype(np.float32).reshape(shape))


def bounds(name, shape):
    if name.endswith('running_mean'): return -.2, .2
    if name.endswith('running_var'): return .5, 1.5
    if 'bias' in name: return -.1, .1
    if len(shape) == 1: return .5, 1.5
    a = float(np.sqrt(6 / np.prod(shape[1:]))); return -a, a


def make(name, model, config, what):
    state = {k: v for k, v in model.state_dict().items() if not k.endswith('num_batches_tracked')}
    for k, v in state.items(): v.copy_(hashed(k, config['seed'], *bounds(k, v.shape), tuple(v.shape)))
    x = hashed('input', config['seed'], -2, 2, config['input'])
    def run(model, x):
        with torch.no_grad():
            maps = model.forward_features(x) if hasattr(model, 'forward_features') else model.features(x)
            return {'out.logits': model(x), 'out.features': maps.contiguous()}
    f32 = run(model.eval(), x)
    f64 = run(model.double(), x.double())
    out = {k: v.float() for k, v in f64.items()}
    save_file(out, os.path.join(OUT, name + '.safetensors'))
    tolerance = {}
    for k, v in f64.items():
        off = float((f32[k] - v).abs().max())
        relative = float((f32[k] - v).norm() / v.norm())
        tolerance[k[4:]] = {'atol': max(2e-5 * float(v.abs().max()), 3 * off), 'rtol': 1e-4, 'torch_f32_relative': relative}
    meta = {'what': what, 'formula': FORMULA, 'config': config, 'state_dict': [[k, list(v.shape)] for k, v in state.items()],
            'tolerance': tolerance, 'torch': torch.__version__.split('+')[0]}
    with open(os.path.join(OUT, name + '.json'), 'w') as f: f.write(json.dumps(meta) + '\n')


make('formula_efficientnet_b0', torchvision.models.efficientnet_b0(), dict(arch='efficientnet_b0', input=[1, 3, 70, 61], seed=5),
     'torchvision efficientnet_b0')
make('formula_timm_efficientnet_b0', timm.create_model('efficientnet_b0'), dict(arch='efficientnet_b0', input=[1, 3, 64, 64], seed=6),
     'timm efficientnet_b0')
make('formula_timm_tf_efficientnet_lite1', timm.create_model('tf_efficientnet_lite1'),
     dict(arch='efficientnet_lite1', input=[1, 3, 65, 64], seed=7), 'timm tf_efficientnet_lite1')
cfg = [8, 'M', 16, 'M', 24, 24, 'M']
vgg = timm.models.vgg.VGG(cfg, num_classes=10, norm_layer=torch.nn.BatchNorm2d)
vgg.pre_logits = timm.models.vgg.ConvMlp(24, 40, 7, 1.0, 0.0, torch.nn.ReLU, torch.nn.Conv2d)
vgg.head.fc = torch.nn.Linear(40, 10)
make('formula_timm_vgg', vgg, dict(cfg=cfg, bn=True, hidden=40, classes=10, input=[1, 3, 56, 56], seed=8), 'timm VGG at a small width')
