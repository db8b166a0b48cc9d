"""The README's network: a convolution, batch norm and a linear layer on handwritten digits."""

import convlet as cl
from convlet import data, training

(x, y), (x_test, y_test) = data.digits()
stem = cl.Conv2d(1, 16, 3, padding="same", use_bias=False), cl.BatchNorm(16), cl.ReLU()
head = cl.MaxPool2d(2), cl.Flatten(), cl.Linear(16 * 4 * 4, 10)
model = cl.Sequential(*stem, *head, rng=0)
optimizer = cl.Adam(model.parameters(), lr=1e-2)
training.fit(model, optimizer, x, y, epochs=10, batch_size=32, rng=0)
probabilities = cl.softmax(model(x_test))
print("test accuracy", (probabilities.argmax(axis=-1) == y_test).mean())
