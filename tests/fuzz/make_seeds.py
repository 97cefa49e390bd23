"""Writes seeds/: small inputs, from which the fuzzer starts and which the tests replay. Needs Pillow.

    python make_seeds.py
"""

import io
import json
import math
import pathlib
import pickle
import struct
import zipfile
import zlib

from PIL import Image

HERE = pathlib.Path(__file__).parent / "seeds"


def write(target, name, content):
    path = HERE / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def safetensors(tensors, metadata=None):
    """`tensors`: name, dtype, shape, bytes."""
    header = {"__metadata__": metadata} if metadata else {}
    data = b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def state_dict(protocol):
    """A pickle of {"a": tensor [2, 3]}, written by hand: GLOBAL, persistent id, REDUCE."""
    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storage = (b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06tQ")
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89"
              b"ccollections\nOrderedDict\n)RtR")
    return b"\x80" + bytes([protocol]) + b"}q\x00(" + text("a") + tensor + text("n") + b"K\x01u."


def pickles():
    write("pickle", "state_dict", state_dict(2))
    plain = {"list": [1, 2.5, None, True, -(2 ** 40)], "set": {1, 2}, "tuple": (b"bytes", "text", (1, 2, 3)),
             "long": 2 ** 70, "dict": {3: {"deep": []}}}
    for protocol in (2, 4, 5):
        write("pickle", f"plain-{protocol}", pickle.dumps(plain, protocol))
    module = (b"\x80\x02cnet\nNet\n)\x81}(X\x0b\x00\x00\x00_parameters}X\x08\x00\x00\x00_buffers}"
              b"X\x08\x00\x00\x00_modules}ub.")
    write("pickle", "module", module)


def archive(pickled, storages, method=zipfile.ZIP_DEFLATED):
    """As torch.save writes it, but compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method, compresslevel=9) as file:
        for name, content in (("data.pkl", pickled), *((f"data/{key}", value) for key, value in storages.items())):
            file.writestr(zipfile.ZipInfo(f"a/{name}"), content, method)
    return out.getvalue()


def archives():
    """Small files of much content, and one whose attribute's name is a program."""
    def text(value):
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def tensor(key, kind="Float"):
        return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + f"ctorch\n{kind}Storage\n".encode() +
                text(key) + text("cpu") + b"K\x01tQK\0))\x89NtR")

    def attributes(modules=b"}", more=b""):
        return b"}(" + text("_parameters") + b"}" + text("_buffers") + b"}" + text("_modules") + modules + more + b"u"

    same_key = text("k") + b"q\x01" + b"0"
    long = b"}(" + text("_parameters") + b"}" + text("_buffers") + b"}" + b"Nh\x01" * 95_000 + b"u"
    write("pth_zip", "modules_that_are_none",
          archive(b"\x80\x02" + same_key + long + b"q\x020" + attributes(b"}(" + b"h\x01h\x02" * 95_000 + b"u") + b".",
                  {}))
    names = b"](" + b"h\x01" * 45_000 + b"eq\x030"
    module = attributes(more=text("_non_persistent_buffers_set") + b"h\x03") + b"q\x020"
    write("pth_zip", "modules_that_share_a_set",
          archive(b"\x80\x02" + same_key + names + module + attributes(b"}(" + b"h\x01h\x02" * 45_000 + b"u") + b".", {}))
    write("pth_zip", "long_way", archive(b"\x80\x02" + text("k" * 400_000) + b"q\x010" + b"}h\x01" * 90_000 + b"}(" +
                                         text("a") + tensor("0") + b"u" + b"s" * 90_000 + b".", {"0": b"\0" * 4}))
    write("pth_zip", "bzip2", archive(state_dict(2), {"0": bytes(24)}, zipfile.ZIP_BZIP2))
    program = "x, 'weights.pth')\n__import__('os').abort() #"
    sets = b"".join(text(name) + b"}(" + text("a") + tensor(key) + b"u" for name, key in ((program, "0"), ("b", "1")))
    write("pth_zip", "attribute_of_code",
          archive(b"\x80\x02" + tensor("9", "Char") + b"}(" + sets + b"ub.", {"0": b"\0" * 4, "1": b"\1" * 4}))


def packed(header, entries, records):
    """With checksums of 0, which the target computes."""
    text = json.dumps(header).encode()
    table = b"".join(struct.pack("<Qq6I", *entry) for entry in entries)
    size = 40 + len(records) + len(text) + len(table)
    return (b"BOXCAMPK" + struct.pack("<IIQQQ", 1, 0, len(text), len(text) + len(table), size) + records + text + table)


def packed_files():
    record = bytes(range(12)) + struct.pack("<4d", 0, 0, 1, 2) + b"id" + b"src"
    entry = (40, 0, 2, 2, 1, 2, 3, 0)
    options = {"data": "scenes", "image-size": "2", "stored": "resized"}
    split = {"name": "train", "images": 1, "complete": True}
    write("packed", "one", packed({"classes": ["a", "none"], "options": options, "splits": [split]}, [entry], record))
    groups = {**split, "images": 2, "lost_boxes": [1], "groups": ["", "g"], "group_of": [0, 1]}
    write("packed", "groups", packed({"classes": ["a"], "options": {}, "splits": [groups]},
                                     [entry, (40 + len(record), 0, 2, 2, 1, 2, 3, 0)], record * 2))
    for name, corner in (("box_of_nan", math.nan), ("box_without_end", math.inf), ("box_turned", 9.0)):
        box = bytes(range(12)) + struct.pack("<4d", 0, corner, 1, 2) + b"id" + b"src"
        write("packed", name, packed({"classes": ["a"], "options": options, "splits": [split]}, [entry], box))
    write("packed", "huge_number", packed({"classes": ["a"], "options": {}, "splits": [{**split, "images": 1e300}]},
                                          [entry], record))
    write("packed", "empty", packed({"classes": ["a"], "options": {}, "splits": []}, [], b""))


def tables():
    write("open_images", "tables",
          "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/0k4j,0.1,0.5,0,1,0\nb,/m/019jd,0,1,0,1.004,1\n%%\n"
          "/m/0k4j,Car\n/m/019jd,\"Boat\"\n%%\nImageID,SourceSet\na,flickr\n")
    write("hierarchy", "names", '{"LabelName":"Entity","Subcategory":[{"LabelName":"Car","Subcategory":'
                                '[{"LabelName":"Van"}]},{"LabelName":"Boat"}]}')
    write("hierarchy", "mids", '{"LabelName":"/m/0bl9f","Subcategory":[{"LabelName":"/m/0k4j"}],"Part":[]}')
    write("voc", "two_objects",
          "a 1\n%%\n<annotation><source><database>D</database></source><size><width>20</width><height>10</height>"
          "<depth>3</depth></size><object><name>car</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
          "<xmax>20</xmax><ymax>10</ymax></bndbox></object><object><name>dog</name><difficult>1</difficult><bndbox>"
          "<xmax>5.5</xmax><xmin>2</xmin><ymin>3</ymin><ymax> 9 </ymax></bndbox></object></annotation>\n")
    write("coco", "one", json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg", "width": 20, "height": 10, "source": "s", "group": "g"}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 3, "bbox": [1, 2, 3.5, 4], "iscrowd": 0,
                         "segmentation": [[1, 2, 3]]}],
        "categories": [{"id": 3, "name": "car", "supercategory": "x"}]}))
    write("csv_images", "pixels", "# boxes: pixels\npath,label,xmin,ymin,xmax,ymax,split,group,source\n"
                                  "a.jpg,car,0,0,10,5,train,g,s\na.jpg,dog,1,1,2.5,2,train,g,s\nb.jpg,none,,,,,val,,\n")
    write("csv_images", "shares", "# boxes: shares\npath,label,xmin,ymin,xmax,ymax\na.jpg,\"c\"\"r\",0,0,1,.5\n")
    write("csv_images", "labels", "\ufeffpath,label\r\na.jpg,car\r\nb.jpg,\r\n")
    write("waterbirds", "two", "img_id,img_filename,y,split,place,place_filename\n1,a/1.jpg,1,0,0,/b/bamboo/1.jpg\n"
                               "2,b/2.jpg,0,2,1,/o/ocean/2.jpg\n%%\n1 10.0 20.0 30.5 40\n2 0 0 5 5\n")


def images():
    def encoded(image, kind, **options):
        out = io.BytesIO()
        image.save(out, kind, **options)
        return out.getvalue()

    colours = Image.new("RGB", (9, 7))
    colours.putdata([(29 * i % 256, 53 * i % 256, 97 * i % 256) for i in range(63)])
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "progressive.jpg": encoded(colours, "JPEG", quality=30, progressive=True, exif=exif),
        "cmyk.jpg": encoded(colours.convert("CMYK"), "JPEG", quality=30),
        "restart.jpg": encoded(colours, "JPEG", quality=30, restart_marker_blocks=1, subsampling=0),
        "rgba.png": encoded(colours.convert("RGBA"), "PNG", exif=exif),
        "two_colours.png": encoded(colours.convert("1"), "PNG"),
        "deep.png": encoded(colours.convert("L").convert("I;16"), "PNG"),
    }
    rows = b"".join(b"\x04" + bytes(6) for _ in range(2))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    png = lambda header, rows: (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) +
                                chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    files["interlaced.png"] = png((2, 2, 8, 2, 0, 0, 1), rows)
    files["tall.png"] = png((1, 470_000, 1, 0, 0, 0, 0), bytes(2 * 470_000))
    files["wide.png"] = png((470_000, 1, 1, 0, 0, 0, 0), bytes(1 + 470_000 // 8))
    for name, content in files.items():
        write("image", name, content)


def settings():
    write("options", "step", "--lambda\n4\n--margin=15\n--cam-profile\npaper\n--thesis\n")
    write("options", "data", "--classes\nplane,car\n--batch\n8\n--seed\n18446744073709551615\n--lr\n1e-3\n--epochs\n2\n")
    write("options", "reading", "--penalty-gradient\ntransfer\n--test-margins\n0,2.5\n--output\nruns/a b\n")
    write("study", "rows", 'title = "T"\nseeds = "3-5"\nreference = "a"\nmargins-at = 224\nthesis-tables = true\n'
                           '[options]\nepochs = 2\nlambda = [1, 2.5]\n[[row]]\nname = "a"\nnote = "n"\n'
                           '[[row]]\nname = "b"\nthesis = true\n')
    write("study", "grid", 'seeds = [1, 7]\n[grid]\nlambda = [0, 1, 10]\nmargin = [0, 15]\n')


def boxcam_files():
    card = {"format": "pt", "boxcam": "1", "classes": '["car","none"]', "model": "plain-mini", "image-size": "96",
            "input-normalisation": "mean 0.485,0.456,0.406 deviation 0.229,0.224,0.225", "cam-profile": "paper"}
    write("model_card", "card", safetensors([], card))
    write("model_card", "foreign", safetensors([("a", "U8", [1], b"x")], {"model": "x"}))
    f32, f64, i64 = (lambda *v: struct.pack(f"<{len(v)}f", *v)), (lambda *v: struct.pack(f"<{len(v)}d", *v)), (
        lambda *v: struct.pack(f"<{len(v)}q", *v))
    write("safetensors", "nothing_but_extents", safetensors([("a", "U8", [2 ** 63 - 1, 2, 0], b"")]))
    write("checkpoint", "two_numbers", safetensors([
        ("counters", "I64", [4], i64(1, 2, 30, 0)), ("sums", "F64", [3], f64(0.5, 1, 2)),
        ("metrics", "F64", [14], f64(*range(14))), ("model.head.weight", "F32", [2, 1], f32(1, 2)),
        ("optimizer.momentum.head.weight", "F32", [2, 1], f32(3, 4))], {"model": "two-numbers"}))
    write("safetensors", "types", safetensors([
        ("a", "F16", [2], b"\0\x3c\x01\x80"), ("b", "BF16", [1, 1], b"\x80\x3f"), ("c", "I64", [], i64(-1)),
        ("d", "F64", [0, 5], b""), ("e", "I32", [1], b"\1\2\3\4")], {"k": "v"}))
    identity = {"processor": "p", "threads": 2}
    run = {"options": {"seed": "3", "lambda": "1", "data": "scenes"}, "identity": identity,
           "data": {"train": {"identity": "0", "content": "c", "describe": "d"}, "classes": ["car", "none"]}}
    test = {"test_accuracy": 0.5, "test_content_heatmap": 0.25, "test_per_class_accuracy": [0.5, None],
            "test_confusion": [[1, 1], [0, 2]], "best_epoch": 0}
    epoch = {"epoch": 0, "loss": 1.5, "train_accuracy": 0.5, "validation_accuracy": 0.5, "seconds": 2}
    image = {"split": "test", "index": 0, "id": "a", "label": "car", "predicted": "none", "score": 0.75, "inside": 1,
             "total": 2, "box_area": 3, "picture": "pictures/0-0.png", "shown": ["fixed", "worst"]}
    write("run_record", "run", "%%\n".join(json.dumps(part) + "\n" for part in (run, test, epoch, image)))


for make in (pickles, archives, packed_files, tables, images, settings, boxcam_files):
    make()
