"""Makes captioning/meteor.json: what METEOR 1.5's jar gives with words and stems alone, and with small synonym and
paraphrase tables that are written here, so that no data of METEOR's is in the fixture.
Run: python make_meteor.py METEOR_JAR (needs java)."""
import gzip, json, os, random, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
OWN_WORDS = os.path.join(HERE, '../../src/metrics/meteor/function_words.txt')

# Base form, irregular forms; word, numbers of its sets; probability, phrase, paraphrase.
EXCEPTIONS = ['child', 'children', 'run', 'ran', 'lie', 'lay lain']
SYNSETS = ['bike', '11', 'bicycle', '11 12', 'cycle', '12 13', 'kid', '21', 'child', '21', 'run', '31 32', 'race', '31',
           'lie', '41', 'rest', '41 42', 'box', '51', 'crate', '51', 'city', '61', 'town', '61', 'woman', '71', 'lady', '71',
           'make', '81', 'create', '81', 'big', '91', 'large', '91']
PARAPHRASES = [('a lot of', 'many'), ('next to', 'beside'), ('next to', 'close to'), ('in front of', 'before'),
               ('group of people', 'crowd'), ('is riding', 'rides'), ('is', "'s"), ('look at', 'watch'),
               ('a group of', 'some'), ('on top of', 'on'), ('on', 'upon'), ('a', 'one')]
DATA = {
    'function/english.words': "a\nan\nthe\nof\non\nin\nis\nto\n.\n,\n's\n",
    'nonbreaking/english.prefixes': '# abbreviations\nMr\nNo #NUMERIC_ONLY#\n',
    'synonym/english.exceptions': '\n'.join(EXCEPTIONS) + '\n',
    'synonym/english.synsets': '\n'.join(SYNSETS) + '\n',
    'paraphrase-en': ''.join(f'0.5\n{a}\n{b}\n0.5\n{b}\n{a}\n' for a, b in PARAPHRASES),
}
WORDS = ('a a a the the is on in of to next many some beside crowd group people one lot bike bikes bicycle cycled cycling '
         'kid children child running ran races rides riding ride lay rests boxes crate cities town women lady making '
         'creates big larger large dog dogs watching watch look at front before top upon horse horses happily happy '
         "generous generously man 's , .").split()
PLAIN = [
    ('a man rides a horse', ['a man is riding a horse', 'the men ride horses']),
    ('two dogs', ['a man rides a horse']),
    ('', ['a cat']),
    ('a a a a', ['a b a', 'a a']),
    ('the black-and-white cat is n\'t here', ["the cat isn't black and white", 'a cat, black and white.']),
    ('d c b a', ['a b c d', 'a b c d e']),
    ('the kids ran to the city', ['children running to town', 'a child ran into a town']),
    ('a group of people is riding bikes next to a box', ['a crowd rides bicycles beside a crate']),
    ('Dogs, at 5.30 p.m., ran 1,000 miles!', ['dogs run 1,000 miles at 5.30 pm .']),
]


def captions(seed, most):
    draw = random.Random(seed)
    def words(): return ' '.join(draw.choice(WORDS) for _ in range(draw.randint(1, most)))
    def near(text):
        kept = [draw.choice(WORDS) if draw.random() < .3 else word for word in text.split() if draw.random() < .9]
        if draw.random() < .5:
            at = draw.randint(0, len(kept)); kept = kept[at:] + kept[:at]
        return ' '.join(kept)
    for _ in range(40):
        said = words()
        yield said, [near(said) or 'a', words(), near(said) or 'the'][:draw.randint(1, 3)]


def scores(jar, options, pairs):
    with subprocess.Popen(['java', '-Xmx2G', '-jar', jar, '-', '-', '-stdio', '-l', 'en', '-norm', *options], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding='utf-8') as meteor:
        def ask(line, answers):
            meteor.stdin.write(line + '\n'); meteor.stdin.flush()
            return [meteor.stdout.readline().strip() for _ in range(answers)]
        counts = [ask(' ||| '.join(['SCORE', *references, said]), 1)[0] for said, references in pairs]
        *per_image, corpus = map(float, ask(' ||| '.join(['EVAL', *counts]), len(pairs) + 1))
        meteor.stdin.close()
    return {'corpus': corpus, 'per_image': per_image}


def main(jar):
    sets = {'by hand': PLAIN, 'short': list(captions(1, 9)), 'long': list(captions(2, 22))}
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        def write(name, text):
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, 'w') as f: f.write(text)
            return path
        own = write('own.words', '\n'.join(open(OWN_WORDS).read().split()) + '\n')
        for name, text in DATA.items(): write(name, text)
        write('synonym/english.relations', '')
        paraphrases = os.path.join(folder, 'paraphrase-en.gz')
        with gzip.open(paraphrases, 'wt') as f: f.write(DATA['paraphrase-en'])
        parameters = ['-p', '0.85 0.2 0.6 0.75']
        words = [*parameters, '-m', 'exact stem', '-w', '1.0 0.6', '-s', own]
        full = [*parameters, '-m', 'exact stem synonym paraphrase', '-w', '1.0 0.6 0.8 0.6', '-a', paraphrases,
                '-s', os.path.join(folder, 'function/english.words'), '-d', os.path.join(folder, 'synonym')]
        for name, pairs in sets.items():
            for stages, options in (['exact', 'stem'], words), (['exact', 'stem', 'synonym', 'paraphrase'], full):
                cases.append({'name': name, 'stages': stages, 'hypotheses': [said for said, _ in pairs],
                              'references': [references for _, references in pairs],
                              'scores': scores(jar, options, pairs)})
    meta = {'what': 'METEOR 1.5 by its jar, -l en -norm, with word lists and tables of our own', 'data': DATA,
            'cases': cases, 'tolerance': 1e-9}
    with open(os.path.join(HERE, 'captioning/meteor.json'), 'w') as f: f.write(json.dumps(meta, indent=0) + '\n')


main(os.path.abspath(sys.argv[1]))
