"""Every way in which the course's programs call a name fits its signature here."""

import ast
import inspect

import pytest

from onecycle import ClassificationInterpretation, DataBunch, Learner, course
from onecycle.data.databunch import LabelledItems
from onecycle.data.labels import SplitItems
from onecycle.learn.recorder import Recorder
from onecycle.text.learners import LanguageLearner, TextLearner
from onecycle.text.lists import TextSplitItems
from onecycle.vision.image import Image, ImageSegment

THINGS = {
    "path": course.Path,
    "img": Image,
    "mask": ImageSegment,
    "items": course.ItemList,
    "split": SplitItems,
    "texts": TextSplitItems,
    "src": LabelledItems,
    "data": DataBunch,
    "learn": Learner,
    "learn_text": TextLearner,
    "learn_lm": LanguageLearner,
    "recorder": Recorder,
    "interp": ClassificationInterpretation,
}
FORMS = """
untar_data(URLs.PETS)
Config.data_path()
path.ls()
get_image_files(path_img)
download_images(path/file, dest, max_pics=200)
download_images(path/file, dest, max_pics=20, max_workers=0)
verify_images(path/c, delete=True, max_size=500)
path.mkdir(parents=True, exist_ok=True)
open_image(path/fname)
open_mask(get_y_fn(img_f))
img.show()
img.show(figsize=(5,5))
img.show(y=get_ip(img,ctr), figsize=(6,6))
img.show(ax, y=y)
mask.show(figsize=(5,5), alpha=1)
ImagePoints(FlowField(img.size, pts), scale=True)
FlowField(img.size, pts)
plot_multi(_plot, 3, 3, figsize=(8,6))
get_transforms()
get_transforms(do_flip=False)
get_transforms(flip_vert=True, max_lighting=0.1, max_zoom=1.05, max_warp=0.)
get_transforms(do_flip=False, max_rotate=0, max_zoom=1, max_lighting=0, max_warp=0)
get_transforms(max_rotate=20, max_zoom=1.5, max_lighting=0.5, max_warp=0.4, p_affine=1., p_lighting=1.)
ImageDataBunch.from_name_re(path_img, fnames, pat, ds_tfms=get_transforms(), size=224, bs=bs)
ImageDataBunch.from_name_re(path, fn_paths, pat=pat, ds_tfms=tfms, size=24)
ImageDataBunch.from_folder(path, ds_tfms=tfms, size=26)
ImageDataBunch.from_folder(path, train=".", valid_pct=0.2, ds_tfms=t, size=224, num_workers=4)
ImageDataBunch.from_folder(path, train=".", valid_pct=0.9, bs=32, ds_tfms=t, size=224, num_workers=4)
ImageDataBunch.from_csv(path, ds_tfms=tfms, size=28)
ImageDataBunch.from_csv(path, folder=".", valid_pct=0.2, csv_labels='cleaned.csv', ds_tfms=t, size=224, num_workers=4)
ImageDataBunch.from_df(path, df, ds_tfms=tfms, size=24)
ImageDataBunch.from_name_func(path, fn_paths, ds_tfms=tfms, size=24, label_func=f)
ImageDataBunch.from_lists(path, fn_paths, labels=labels, ds_tfms=tfms, size=24)
data.normalize(imagenet_stats)
data.normalize()
ImageList.from_csv(path, 'train_v2.csv', folder='train-jpg', suffix='.jpg')
ImageList.from_csv(path, 'cleaned.csv', folder='.')
ImageList.from_folder(path)
items.add(other)
SegmentationItemList.from_folder(path_img)
PointsItemList.from_folder(path)
TextList.from_csv(path, 'texts.csv', cols='text')
TextList.from_folder(path)
TextList.from_folder(path, vocab=data_lm.vocab)
items.filter_by_folder(include=['train','test','unsup'])
items.split_by_rand_pct(0.2)
items.split_none()
items.split_by_folder(valid='test')
items.split_by_fname_file('../valid.txt')
items.split_by_valid_func(f)
items.split_from_df(col=2)
items.split_by_idx(list(range(800,1000)))
split.label_from_df(label_delim=' ')
split.label_from_df(cols=0)
split.label_from_df()
split.label_from_func(get_y_fn, classes=codes)
split.label_from_func(get_ctr)
split.label_from_folder()
split.label_from_folder(classes=['neg','pos'])
texts.label_for_lm()
src.transform(tfms, size=128)
src.transform(get_transforms(), size=size, tfm_y=True)
src.transform(get_transforms(), tfm_y=True)
src.add_test(test)
src.databunch()
src.databunch(bs=bs)
data.show_batch()
data.show_batch(rows=3, figsize=(7,6))
data.show_batch(2, figsize=(10,7), ds_type=DatasetType.Valid)
data.save()
data.save('data_lm.pkl')
load_data(path)
load_data(path, 'data_lm.pkl', bs=bs)
TextDataBunch.from_csv(path, 'texts.csv')
TextClasDataBunch.from_csv(path, 'texts.csv')
cnn_learner(data, models.resnet34, metrics=error_rate)
cnn_learner(data, models.resnet34)
cnn_learner(data, models.resnet34, pretrained=False)
cnn_learner(data, models.resnet50, metrics=error_rate, ps=0, wd=0)
create_cnn(data, models.resnet34, metrics=error_rate)
unet_learner(data, models.resnet34, metrics=metrics, wd=wd)
unet_learner(data, models.resnet34, metrics=metrics, wd=wd, bottle=True)
language_model_learner(data_lm, AWD_LSTM, drop_mult=0.3)
text_classifier_learner(data_clas, AWD_LSTM, drop_mult=0.5)
learn.fit(2)
learn.fit(1, 1e-2)
learn.fit_one_cycle(4)
learn.fit_one_cycle(2, max_lr=slice(1e-6,1e-4))
learn.fit_one_cycle(40, slice(1e-6,1e-4))
learn.fit_one_cycle(10, slice(lr), pct_start=0.9)
learn.fit_one_cycle(1, 1e-2, moms=(0.8,0.7))
learn.lr_find()
learn.lr_find(start_lr=1e-5, end_lr=1e-1)
lr_find(learn)
recorder.plot()
recorder.plot(skip_end=15)
recorder.plot_losses()
learn.freeze()
learn.unfreeze()
learn.freeze_to(-2)
learn.save('stage-1')
learn.load('stage-1')
learn.export()
load_learner(path)
load_learner(path, test=test)
learn.predict(img)
learn.predict(img, thresh=0.3)
learn_lm.predict(TEXT, N_WORDS, temperature=0.75)
learn.get_preds(ds_type=DatasetType.Test)
learn.show_results()
learn.show_results(rows=3, figsize=(8,9))
learn.destroy()
learn.summary()
learn_text.save_encoder('fine_tuned_enc')
learn_text.load_encoder('fine_tuned_enc')
learn.to_fp16()
learn.to_fp32()
learn.mixup()
ClassificationInterpretation.from_learner(learn)
interp.top_losses()
interp.plot_top_losses(9, figsize=(15,11))
interp.plot_confusion_matrix()
interp.plot_confusion_matrix(figsize=(12,12), dpi=60)
interp.most_confused(min_val=2)
DatasetFormatter().from_toplosses(learn_cln)
DatasetFormatter().from_similars(learn_cln)
doc(interp.plot_top_losses)
gpu_mem_get_free_no_cache()
error_rate(y_pred, y_true)
accuracy(y_pred, y_true)
accuracy_thresh(y_pred, y_true, thresh=0.2)
fbeta(y_pred, y_true, thresh=0.2)
foreground_acc(y_pred, y_true, void_code=31)
tensor(3.,2)
tensor([c2,c1])
array(['Sky'])
""".strip().splitlines()
READ = {
    "img": "shape size data",
    "mask": "shape size data",
    "data": "classes c train_ds valid_ds test_ds path device batch_size loss_func dl one_batch",
    "learn": "model data recorder validate create_opt lr_range layer_groups",
}


def found(node):
    """What a call's name stands for, and whether `self` is taken already."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Name):
        return (THINGS[node.id], True) if node.id in THINGS else (getattr(course, node.id), False)
    owner, is_instance = found(node.value)
    is_instance = is_instance or isinstance(node.value, ast.Call)
    raw = inspect.getattr_static(owner, node.attr)
    return getattr(owner, node.attr), is_instance and not isinstance(raw, classmethod)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_fits(form):
    call = ast.parse(form, mode="eval").body
    function, needs_self = found(call.func)
    given = [None] * (len(call.args) + (needs_self and not inspect.isclass(function)))
    options = {k.arg: None for k in call.keywords}
    inspect.signature(function).bind(*given, **options)


def test_what_is_read_is_there(tmp_path):
    data = course.from_arrays(course.np.zeros((8, 2)), course.np.arange(8.0), bs=4)
    learn = Learner(data, course.mlp([2, 1]), silent=True)
    img = Image.of_pixels(course.np.zeros((4, 6, 3), "uint8"))
    mask = ImageSegment(course.torch.zeros(1, 4, 6).long())
    things = {"img": img, "mask": mask, "data": data, "learn": learn}
    for thing, names in READ.items():
        assert [n for n in names.split() if not hasattr(things[thing], n)] == []
    assert (img.size, mask.shape[1:]) == ((4, 6), (4, 6))
