"""A whole training of resnet-mini in PyTorch, eager and channels_last: what `train` does with the options of
compare_pytorch.py's rows `run` and `run-ce`, on the same packed data set, order and augmentation apart.

PyTorch gets what a careful user would give it: the images lie decoded in memory as one tensor of bytes, and batches are
cut from it without a DataLoader. It writes no checkpoint and measures no test split.
"""

import json
import math
import struct


def read_packed(path, split):
    """Images u8 [N, 3, H, W], labels and box masks [N, H, W] of one split; nn/data/packed.h has the format."""
    import torch

    with open(path, "rb") as file:
        data = file.read()
    magic, version, _, header_bytes, index_bytes, file_bytes = struct.unpack("<8sIIQQQ", data[:40])
    if magic != b"BOXCAMPK" or version != 1:
        raise SystemExit(f"{path} is not a packed data set of version 1")
    begin = file_bytes - index_bytes
    header = json.loads(data[begin:begin + header_bytes])
    entries = [struct.unpack_from("<Qq6I", data, begin + header_bytes + 40 * i)
               for i in range((index_bytes - header_bytes) // 40)]
    first = 0
    for known in header["splits"]:
        if known["name"] == split:
            entries = entries[first:first + known["images"]]
        first += known["images"]
    images, labels, masks = [], [], []
    for offset, label, height, width, boxes, *_ in entries:
        size = 3 * height * width
        pixels = torch.frombuffer(bytearray(data[offset:offset + size]), dtype=torch.uint8)
        images.append(pixels.view(height, width, 3).permute(2, 0, 1))
        mask = torch.zeros(height, width)
        for box in range(boxes):
            x_min, y_min, x_max, y_max = struct.unpack_from("<4d", data, offset + size + 32 * box)
            rows, columns = ((math.ceil(low - 0.5), math.floor(high - 0.5) + 1)
                             for low, high in ((y_min, y_max), (x_min, x_max)))
            mask[slice(*rows), slice(*columns)] = 1
        labels.append(label)
        masks.append(mask)
    return torch.stack(images), torch.tensor(labels), torch.stack(masks)


def train(model, grad_cam, path, epochs, penalty_weight, seed=0):
    """SGD with Nesterov momentum, cosine schedule with warm-up, flips; validation with accuracy and CAMs after each
    epoch. Returns the last validation accuracy. `grad_cam` is compare_pytorch.py's, differentiable."""
    import torch

    batch, peak, warmup = 32, 0.05, 0.05
    images, labels, masks = read_packed(path, "train")
    val_images, val_labels, val_masks = read_packed(path, "validation")
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

    def inputs(pixels):
        return ((pixels.float() / 255 - mean) / deviation).to(memory_format=torch.channels_last)

    taps = []
    model[-4].register_forward_hook(lambda module, arguments, output: taps.append(output))  # before the pooling
    optimizer = torch.optim.SGD(model.parameters(), lr=peak, momentum=0.9, nesterov=True, weight_decay=5e-4)
    steps = epochs * math.ceil(len(images) / batch)
    step, accuracy = 0, 0.0
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        model.train()
        for chosen in torch.randperm(len(images), generator=generator).split(batch):
            rise = warmup * steps
            rate = (step + 1) / rise if step < rise else 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
            for group in optimizer.param_groups:
                group["lr"] = peak * rate
            flipped = torch.rand(len(chosen), generator=generator) < 0.5
            pixels, mask = images[chosen], masks[chosen]
            pixels[flipped], mask[flipped] = pixels[flipped].flip(3), mask[flipped].flip(2)
            taps.clear()
            optimizer.zero_grad(set_to_none=True)
            logits = model(inputs(pixels))
            loss = torch.nn.functional.cross_entropy(logits, labels[chosen])
            if penalty_weight:
                cam = grad_cam(logits - logits.mean(1, keepdim=True), labels[chosen], taps[0], mask.shape[1])
                loss = loss + penalty_weight * (cam * (1 - mask)).mean()
            loss.backward()
            optimizer.step()
            step += 1
        model.eval()
        right = inside = total = 0.0
        for chosen in torch.arange(len(val_images)).split(batch):
            taps.clear()
            logits = model(inputs(val_images[chosen]))
            cam = grad_cam(logits, val_labels[chosen], taps[0], val_masks.shape[1], create_graph=False).detach()
            right += (logits.argmax(1) == val_labels[chosen]).sum().item()
            inside += (cam * val_masks[chosen]).sum().item()
            total += cam.sum().item()
        accuracy = right / len(val_images)
    return accuracy
